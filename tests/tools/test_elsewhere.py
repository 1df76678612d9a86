"""Folders of ours in shared temporary folders: safe against another user's planting, recorded, removed."""

from pathlib import Path

import pytest

from devstack.stack import elsewhere


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "records"
    monkeypatch.setattr(elsewhere, "RECORDS", folder)
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A tree in the shape of the wheel's."""
    root = tmp_path / "site-packages" / "pgpackage" / "pg18"
    contents = {
        "bin/postgres": 0o700,
        "bin/initdb": 0o700,
        "bin/psql": 0o700,
        "lib/postgresql/plpgsql.so": 0o700,
        "lib/libpq.a": 0o600,
        "share/postgresql/postgres.bki": 0o600,
    }
    for name, mode in contents.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        file.chmod(mode)
    libraries = tmp_path / "site-packages" / "pgpackage.libs"
    libraries.mkdir()
    (libraries / "libpq.so").write_text("library")
    return root / "bin"


def test_copies_what_the_server_needs_for_other_users_to_run(records: Path, programs: Path, tmp_path: Path) -> None:
    """Programs, libraries and shared files arrive in the wheel's layout and are readable by everybody."""
    copy = elsewhere.copy_of_programs(programs, [tmp_path])
    root = copy.parent.parent.parent
    assert (copy / "postgres").stat().st_mode & 0o777 == 0o755
    assert (copy.parent / "share/postgresql/postgres.bki").stat().st_mode & 0o777 == 0o644
    assert (root / "pgpackage.libs/libpq.so").exists()
    assert not (copy / "psql").exists()
    assert not (copy.parent / "lib/libpq.a").exists()
    assert (records / root.name).read_text().splitlines()[0] == str(root)


def test_uses_the_same_copy_again_until_a_file_is_missing(records: Path, programs: Path, tmp_path: Path) -> None:
    """One copy serves every start; one that a sweep of the temporary folder has touched is made anew."""
    first = elsewhere.copy_of_programs(programs, [tmp_path])
    made_at = (first / "initdb").stat().st_ino
    assert elsewhere.copy_of_programs(programs, [tmp_path]) == first
    assert (first / "initdb").stat().st_ino == made_at
    (first.parent / "lib/postgresql/plpgsql.so").unlink()
    assert elsewhere.copy_of_programs(programs, [tmp_path]) == first
    assert (first.parent / "lib/postgresql/plpgsql.so").exists()


def test_records_the_copies_of_two_places_apart(records: Path, programs: Path, tmp_path: Path) -> None:
    """A kept stack and a throw-away one may copy to different places; `make clean` finds both."""
    for name in ("throw-away", "kept"):
        (tmp_path / name).mkdir()
        elsewhere.copy_of_programs(programs, [tmp_path / name])
    assert len(elsewhere.remove_all()) == 2
    assert not list((tmp_path / "kept").iterdir())
    assert not list((tmp_path / "throw-away").iterdir())


@pytest.mark.parametrize("trick", ["writable by others", "a link"])
def test_leaves_a_planted_folder_alone(records: Path, programs: Path, tmp_path: Path, trick: str) -> None:
    """A folder of the expected name that others could have filled is neither run from nor removed."""
    expected = elsewhere.copy_of_programs(programs, [tmp_path]).parent.parent.parent
    if trick == "a link":
        expected.rename(tmp_path / "theirs")
        expected.symlink_to(tmp_path / "theirs")
    else:
        expected.chmod(0o777)
    copy = elsewhere.copy_of_programs(programs, [tmp_path])
    assert expected not in copy.parents
    assert (copy / "postgres").exists()
    assert expected.exists()


def test_removes_the_database_of_a_stack_that_is_gone(records: Path, tmp_path: Path) -> None:
    """A killed throw-away stack cannot clean up; the next start does, and leaves those of other stacks."""
    abandoned = elsewhere.new_folder([tmp_path], tmp_path / "gone")
    used = elsewhere.new_folder([tmp_path], tmp_path)
    elsewhere.remove_abandoned()
    assert not abandoned.exists()
    assert used.exists()


def test_removes_every_recorded_folder_and_nothing_else(records: Path, tmp_path: Path) -> None:
    """A record that does not name a folder of ours removes nothing."""
    ours = elsewhere.new_folder([tmp_path], tmp_path)
    (ours / "file").write_text("data")
    precious = tmp_path / "precious"
    precious.mkdir()
    (records / "ordersaga-forged").write_text(str(precious))
    assert elsewhere.remove_all() == [ours]
    assert not ours.exists()
    assert precious.exists()
    assert not list(records.iterdir())
