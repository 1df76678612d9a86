"""Installs the other engines into `build/peers`, apart from everything of this project: `make bench-peers` only.

DBOS and the SDK of Restate come from PyPI by hash-locked pins, the server of Restate from npm by a package-lock with
the integrity of each package. No script of a package is run: one would report the installation to somebody.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkFailed
from benchmarks.processes import PROJECT
from devstack.installation import STRAY

FOLDER = PROJECT / "build" / "peers"
HERE = Path(__file__).parent
PINS = HERE / "requirements.txt"
NPM_FILES = ("package.json", "package-lock.json")

SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Installed:
    """What can be measured. Without `restate_server` Restate is left out, and `missing` says why."""

    python: Path
    restate_server: Path | None
    missing: str = ""


def install(say: Callable[[str], None], folder: Path = FOLDER) -> Installed:
    """Installs what is not there yet. Raises BenchmarkFailed if not even DBOS can be had."""
    python = _python_packages(folder / "venv", say)
    npm = shutil.which("npm")
    if npm is None:
        return Installed(python, None, "Restate is left out: its server is installed by npm, and there is no npm.")
    server = server_in(folder / "npm", platform.system(), platform.machine())
    if server is None:
        return Installed(
            python, None, f"Restate is left out: no server for {platform.system()} {platform.machine()}."
        )
    try:
        _npm_packages(npm, folder / "npm", say)
    except BenchmarkFailed as failure:
        return Installed(python, None, f"Restate is left out: {failure}")
    return Installed(python, server)


def server_in(folder: Path, system: str, machine: str) -> Path | None:
    """The program that npm puts there on such a machine: the package itself would wrap it in a process of Node."""
    if system not in SYSTEMS or machine not in MACHINES:
        return None
    package = f"restate-server-{SYSTEMS[system]}-{MACHINES[machine]}"
    return folder / "node_modules" / "@restatedev" / package / "bin" / "restate-server"


def fingerprint(*files: Path) -> str:
    """Changes with any of the files."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _python_packages(venv: Path, say: Callable[[str], None]) -> Path:
    python = venv / "bin" / "python"
    if not _is_there(venv, fingerprint(PINS)):
        say(f"Installing DBOS and the SDK of Restate into {venv} (once) ...")
        shutil.rmtree(venv, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(venv)], PROJECT)
        pip = [
            str(python),
            "-m",
            "pip",
            "install",
            "-qq",
            "--no-compile",
            "--disable-pip-version-check",
            "--no-input",
        ]
        _run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(PINS)], PROJECT)
        _stamp(venv).write_text(fingerprint(PINS))
    return python


def _npm_packages(npm: str, folder: Path, say: Callable[[str], None]) -> None:
    wanted = fingerprint(*(HERE / name for name in NPM_FILES))
    if not _is_there(folder, wanted):
        say(f"Installing the server of Restate into {folder} (once, 220 MB) ...")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in NPM_FILES:
            shutil.copy(HERE / name, folder)
        _run([npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"], folder)
        _stamp(folder).write_text(wanted)


def _stamp(folder: Path) -> Path:
    return folder / "installed-pins"


def _is_there(folder: Path, wanted: str) -> bool:
    return _stamp(folder).exists() and _stamp(folder).read_text() == wanted


def _run(command: list[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in STRAY}
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchmarkFailed(
            f"`{Path(command[0]).name} {' '.join(command[1:4])} ...` failed:\n{done.stderr[-1500:]}"
        )
