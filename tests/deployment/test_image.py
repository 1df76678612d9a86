"""The Dockerfile as text, and that what it copies is a whole service. No image is built."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTRUCTIONS = [
    line
    for line in re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    if line and not line.startswith("#")
]
COPIED = [words.split() for words in INSTRUCTIONS if words.startswith("COPY ") and "--from" not in words]
CODE = [(source, words[-1]) for words in COPIED for source in words[1:-1] if source != "requirements.txt"]

IMPORT_ALL = """
import importlib, pathlib
for file in pathlib.Path().rglob("*.py"):
    if "migrations" not in file.parts:  # they need Alembic around them
        importlib.import_module(".".join(file.with_suffix("").parts))
"""


def kept_out(path: str) -> bool:
    """By .dockerignore: of the patterns that match the path or a folder above it, the last one decides."""
    ignored = False
    candidates = [path, *(str(folder) for folder in Path(path).parents)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        # Docker's `**/` matches at any depth, so also at the top.
        tried = [pattern, pattern.removeprefix("**/")]
        if line and not line.startswith("#") and any(fnmatch.fnmatchcase(c, t) for c in candidates for t in tried):
            ignored = not line.startswith("!")
    return ignored


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A folder with what the image's /app has."""
    for source, target in CODE:
        found = ROOT / source
        if found.is_dir():
            shutil.copytree(found, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / target).mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, tmp_path / target)
    return tmp_path


def test_installs_only_what_is_pinned_by_hash() -> None:
    """Nothing comes in by another way, and no package is built on the spot."""
    installs = [each for each in INSTRUCTIONS if "pip" in each and " install --" in each]
    assert len(installs) == 1
    assert "--require-hashes -r requirements.txt" in installs[0] and "--only-binary :all:" in installs[0]
    assert "apt-get" not in "".join(INSTRUCTIONS)


def test_both_stages_stand_on_one_pinned_python() -> None:
    """The interpreter that the dependencies were installed for is the one that runs them."""
    bases = [each.split()[1] for each in INSTRUCTIONS if each.startswith("FROM ")]
    assert len(bases) == 2 and len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0])


def test_runs_as_nobody_in_particular() -> None:
    """The last stage ends with a numeric user, which `runAsNonRoot` of Kubernetes can check too."""
    last_stage = INSTRUCTIONS[max(n for n, each in enumerate(INSTRUCTIONS) if each.startswith("FROM ")) :]
    assert [each for each in last_stage if each.startswith("USER ")] == ["USER 10001:10001"]
    assert [each for each in last_stage if "--chown" in each] == []  # and owns nothing of what it runs


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    """No secret, test or development stack is in reach of a COPY."""
    assert [source for words in COPIED for source in words[1:-1] if kept_out(source)] == []
    assert all((ROOT / source).exists() for words in COPIED for source in words[1:-1])
    for stranger in (".env", ".git/config", "devstack/stack/stack.py", "tests/conftest.py", "api/__pycache__/app.pyc",
                     "requirements-dev.txt", "ops/temporal/databases.sh", ".venv/bin/python"):  # fmt: skip
        assert kept_out(stranger), stranger


def test_every_module_of_the_image_can_be_imported_there(app: Path) -> None:
    """Nothing that the service imports was left out, and nothing of it needs the development stack."""
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=app, env={}, capture_output=True, text=True, timeout=200, check=False
    )
    assert run.returncode == 0, run.stderr
    assert not {"devstack", "tests", "benchmarks"} & {each.name for each in app.iterdir()}


def test_the_migrations_are_all_in_the_image(app: Path) -> None:
    """Alembic finds the same head there as here."""
    heads = [
        subprocess.run(
            [sys.executable, "-m", "alembic", "heads"], cwd=folder, env={}, capture_output=True, text=True,
            timeout=200, check=True,
        ).stdout
        for folder in (app, ROOT)
    ]  # fmt: skip
    assert heads[0] == heads[1] != ""
