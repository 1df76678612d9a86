"""Makes .venv with the pinned dependencies, unless it is there and in step with them.

Run by the system's Python, of whatever version: only the standard library, and nothing that an old one cannot read.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

MINIMUM = (3, 11)
PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
PINS = PROJECT / "requirements-dev.txt"
STAMP = VENV / "installed-requirements"

# These would send the packages elsewhere, or have pip refuse. Where pip gets them from is the developer's affair.
STRAY = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_NO_DEPS", "VIRTUAL_ENV")


def is_installed(wanted: str) -> bool:
    """Whether .venv works and has exactly these pins."""
    return usable() and STAMP.exists() and STAMP.read_text() == wanted


def usable() -> bool:
    """Whether the Python in .venv runs and is new enough; its base may have been removed or replaced."""
    probe = f"import sys; sys.exit(sys.version_info[:2] < {MINIMUM})"
    try:
        return subprocess.call([str(PYTHON), "-c", probe]) == 0
    except OSError:
        return False


def run(command: "list[str]", failure: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in STRAY}
    done = subprocess.run(command, env=environment, cwd=str(PROJECT), stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        sys.exit(failure)


def install(wanted: str) -> None:
    if not usable():
        print("Making .venv ...", flush=True)
        advice = "Cannot make .venv (on Debian and Ubuntu, the package python3-venv is needed)."
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], advice)
    print("Installing the pinned dependencies into .venv (once; about a minute) ...", flush=True)
    pip = [str(PYTHON), "-m", "pip", "install", "-qq", "--no-compile", "--disable-pip-version-check", "--no-input"]
    run([*pip, "--require-hashes", "-r", str(PINS)], "Installing failed; run the same command again to go on.")
    STAMP.write_text(wanted)


def main() -> None:
    if sys.version_info[:2] < MINIMUM:
        found = ".".join(str(number) for number in sys.version_info[:2])
        sys.exit(f"Python 3.11 or later is needed, and python3 is {found}. Try: make PYTHON=python3.11 ...")
    wanted = hashlib.sha256(PINS.read_bytes()).hexdigest()
    with PINS.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once would install into each other
        if not is_installed(wanted):
            install(wanted)


if __name__ == "__main__":
    main()
