"""What can go wrong with a benchmark; the message is meant for the person who started it."""

from devstack.errors import StackError


class BenchmarkFailed(StackError):
    """A measurement that says nothing: an order that failed, or a process that is gone."""
