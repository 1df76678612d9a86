"""Becomes one part of the stack: drops root, ties its life to the supervisor's, then execs the program.

Run as a file, `python -I -S launcher.py PARENT_PID DEATH_SIGNAL UID GID PROGRAM ARGS...` (UID -1 keeps the
user), which costs about 20 ms. It takes the place of a `preexec_fn`, which is not safe in a process with
threads and warns there from Python 3.12 on. The pid stays the one that the supervisor knows.
"""

import os
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def tie_of(parent: int, death_signal: int) -> Callable[[], None]:
    """A call that has the kernel send `death_signal` when the supervisor is gone, however it went."""
    if sys.platform != "linux":
        return lambda: None
    import ctypes

    prctl = ctypes.CDLL(None).prctl

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was told
            sys.exit("the supervisor is gone")

    return tie


def main(arguments: list[str]) -> None:
    parent, death_signal, uid, gid = (int(number) for number in arguments[:4])
    tie = tie_of(parent, death_signal)  # imported while still able to: Python itself may be out of the user's reach
    command = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    tie()  # after setuid, which makes the kernel forget it
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
