"""The root of what can go wrong with the development stack; the message is meant for the person who started it."""


class StackError(Exception):
    """Something that whoever started the stack can put right: a setting, a port, a missing program."""
