"""Folders of ours outside the project: made safely in a shared temporary folder, recorded, removed.

Only the standard library, since `make clean` runs it without the project's environment.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PREFIX = "ordersaga-"
PROJECT = Path(__file__).resolve().parents[2]
RECORDS = PROJECT / ".ordersaga" / "elsewhere"
PROGRAMS = ("postgres", "initdb")


def new_folder(places: list[Path], stack: Path) -> Path:
    """A fresh private folder in the first of the places for the stack in a folder of its own, recorded."""
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}postgres-", dir=places[0]))
    _record(made, stack)
    return made


def remove_abandoned() -> None:
    """Remove the folders of stacks that are gone themselves: killed, and their own folder swept since."""
    for record in RECORDS.glob(f"{PREFIX}postgres-*"):
        with suppress(FileNotFoundError, ValueError):  # another start does the same
            folder, stack = record.read_text().splitlines()
            if not Path(stack).exists() and Path(folder).name == record.name:
                remove(Path(folder))


def remove(folder: Path) -> None:
    """Remove a folder that `new_folder` made, and its record."""
    if folder.name.startswith(PREFIX) and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    _record_of(folder).unlink(missing_ok=True)


def remove_all() -> list[Path]:
    """Remove every recorded folder; says which were there."""
    removed = []
    for record in sorted(RECORDS.glob(f"{PREFIX}*")):
        folder = Path(record.read_text().splitlines()[0])
        if folder.name == record.name and folder.is_dir():
            removed.append(folder)
            remove(folder)
        record.unlink(missing_ok=True)
    return removed


def copy_of_programs(programs: Path, places: list[Path]) -> Path:
    """A copy of PostgreSQL that other users can run, made once for these programs; the folder of its programs.

    A folder of that name that is not ours alone could hold another user's programs: it is left alone, and a
    copy is made under a name nobody can foresee.
    """
    version = (programs / "postgres").stat()
    # With the place in it, since the name is also that of the record, and a kept stack's place is another one.
    identity = f"{places[0]} {programs} {version.st_size} {version.st_mtime_ns}"
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    copy = places[0] / f"{PREFIX}programs-{key}"
    inside = Path("package", programs.parent.name, "bin")
    if _ours_alone(copy) and _complete(programs, copy / inside):
        return copy / inside
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}programs-", dir=places[0]))
    _copy(programs, made / inside)
    made.chmod(0o755)
    if _ours_alone(copy):
        shutil.rmtree(copy)
    if not os.path.lexists(copy):
        with suppress(OSError):  # another start was quicker: then this copy is ours under its own name
            made = made.rename(copy)
    _record(made, programs)
    return made / inside


def _pieces(programs: Path, copy: Path) -> Iterator[tuple[Path, Path]]:
    """Each file to copy and where to. The wheel's layout stays: programs find libraries relative to themselves."""
    package = programs.parent.parent
    roots = {programs.parent / name: copy.parent / name for name in ("bin", "lib", "share")}
    for libraries in package.parent.glob(f"{package.name}.libs"):
        roots[libraries] = copy.parent.parent.parent / libraries.name
    for source, target in roots.items():
        for file in source.rglob("*"):
            needed = file.name in PROGRAMS if source == programs else file.suffix not in (".a", ".pc")
            if needed and file.is_file():
                yield file, target / file.relative_to(source)


def _copy(programs: Path, copy: Path) -> None:
    for source, target in _pieces(programs, copy):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)
    for folder in copy.parent.parent.parent.rglob("*"):  # whatever the umask is
        if folder.is_dir():
            folder.chmod(0o755)


def _complete(programs: Path, copy: Path) -> bool:
    """Whether nothing has been swept out of the copy, as happens to old files in temporary folders."""
    return all(
        target.is_file() and target.stat().st_size == source.stat().st_size
        for source, target in _pieces(programs, copy)
    )


def _ours_alone(folder: Path) -> bool:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _record_of(folder: Path) -> Path:
    return RECORDS / folder.name


def _record(folder: Path, owner: Path) -> None:
    RECORDS.mkdir(parents=True, exist_ok=True)
    _record_of(folder).write_text(f"{folder}\n{owner}\n")
