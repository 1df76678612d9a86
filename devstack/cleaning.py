"""`make clean`: removes the kept state of the stack and everything of ours outside the project's folder.

Only the standard library: it runs without the project's environment.
"""

import fcntl
import shutil
import sys

from devstack.stack import elsewhere, ports

STATE = elsewhere.PROJECT / ".ordersaga"


def main() -> int:
    if not STATE.exists():
        return 0
    with (STATE / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("the stack is running: stop `make up` first", file=sys.stderr)
            return 1
        for folder in elsewhere.remove_all():
            print(f"removed {folder}")
        shutil.rmtree(STATE)
    ports.claims_file().unlink(missing_ok=True)
    print("removed .ordersaga/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
