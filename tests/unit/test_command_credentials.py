"""Whose token the command sends, and to whom; and the key of one's own that development has in place of an issuer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.identities.development import PEOPLE, PRIVATE, PUBLIC, main, saved_key
from commandline.credentials import credential_for
from commandline.failures import Misused
from commandline.places import Place

HERE, ELSEWHERE = Place("http://127.0.0.1:8000", "a test"), Place("https://orders.shop.test", "a test")


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stack that runs in this folder."""
    folder = tmp_path / ".ordersaga"
    folder.mkdir()
    (folder / "stack.json").write_text(json.dumps({"api": HERE.url}))
    (folder / "as-developer").write_text("Authorization: Bearer dev.el.oper\n")
    monkeypatch.chdir(tmp_path)
    return folder


def sent(place: Place, **environ: str) -> str | None:
    return credential_for(place, environ).header().get("Authorization")


def test_the_developers_token_goes_to_the_stack_alone(stack: Path) -> None:
    """Another address that somebody names gets nothing that they did not name as well."""
    assert sent(HERE) == "Bearer dev.el.oper"
    assert sent(ELSEWHERE) is None
    assert sent(ELSEWHERE, ORDERSAGA_TOKEN="os_key") == "Bearer os_key"


def test_what_is_named_comes_first(stack: Path) -> None:
    file = stack / "mine"
    for text in ("a.b.c", "a.b.c\n", "Authorization: Bearer a.b.c\n", "authorization:bearer a.b.c", "Bearer a.b.c"):
        file.write_text(text)
        assert sent(HERE, ORDERSAGA_TOKEN_FILE=str(file)) == "Bearer a.b.c"
    assert sent(HERE, ORDERSAGA_TOKEN="x", ORDERSAGA_TOKEN_FILE=str(file)) == "Bearer x"


@pytest.mark.parametrize("text", ["", "two words", "a\nb", "é", "Authorization: Basic abc def"])
def test_what_is_no_token_is_refused_without_being_told(stack: Path, text: str) -> None:
    """It may be another secret."""
    file = stack / "mine"
    file.write_text(text)
    with pytest.raises(Misused) as refused:
        sent(HERE, ORDERSAGA_TOKEN_FILE=str(file))
    assert not text.strip() or text not in refused.value.detail


def test_a_file_that_is_not_there_is_named(stack: Path) -> None:
    with pytest.raises(Misused, match="nowhere"):
        sent(HERE, ORDERSAGA_TOKEN_FILE=str(stack / "nowhere"))


def test_without_a_stack_nobody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sent(HERE) is None


def test_a_development_key_and_its_files_are_for_their_owner(tmp_path: Path) -> None:
    """Each start makes another key, so that what was minted before counts no longer."""
    assert main([str(tmp_path)]) == 0
    first = saved_key(tmp_path)
    assert first is not None
    names = {PRIVATE, PUBLIC, *(f"as-{name}" for name in PEOPLE)}
    assert {file.name for file in tmp_path.iterdir()} == names
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    assert (tmp_path / "as-customer").read_text().startswith("Authorization: Bearer ey")
    assert main([str(tmp_path)]) == 0
    second = saved_key(tmp_path)
    assert second is not None and first.public != second.public
    assert main([]) == 2
