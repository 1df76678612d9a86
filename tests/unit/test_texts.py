"""What people write, where a row names it: quoted where it is read, and only there."""

from __future__ import annotations

import pytest

from domain.commands import CancelRequest
from domain.texts import KeepText, TextKind, quote
from services.texts.texts import Words, id_of


@pytest.mark.parametrize(
    ("what", "texts", "read"),
    [
        ("order placed", [], "order placed"),
        ("cancel accepted: {}", ["too late"], "cancel accepted: too late"),
        ("done by hand: a: {} ({})", ["receipt 17", "by phone"], "done by hand: a: receipt 17 (by phone)"),
        ("{} ({})", ["{}", "{} {}"], "{} ({} {})"),
        ("a row from before, with {} in it", [], "a row from before, with {} in it"),
        ("{}", ["C:\\new \\1 %s {0}"], "C:\\new \\1 %s {0}"),
        ("fewer places", ["than texts"], "fewer places"),
    ],
)
def test_a_row_quotes_its_texts_in_their_order(what: str, texts: list[str], read: str) -> None:
    """What a text says itself is left alone: nobody can quote another text by writing its place."""
    assert quote(what, texts) == read


def test_an_erased_text_and_one_that_is_gone_read_the_same() -> None:
    """The placeholder, instead of nothing or an error."""
    words = Words({"a": "said", "b": None})
    assert [words[text_id] for text_id in "abc"] == ["said", "[erased]", "[erased]"]


def test_ids_of_an_orders_texts_differ_by_order_and_name() -> None:
    """128 bits in hex; the same question gets the same id."""
    ids = [id_of("o1", "close_order"), id_of("o1", "cancel_request_1"), id_of("o2", "close_order")]
    assert len({*ids, id_of("o1", "close_order")}) == 3
    assert {len(bytes.fromhex(text_id)) for text_id in ids} == {16}


def test_words_are_not_in_what_a_message_looks_like_in_a_log() -> None:
    """Of the message that carries them from a workflow to the table."""
    text = KeepText(text_id="t1", order_id="o1", kind=TextKind.CANCEL_REASON, words="wallaby")
    assert "wallaby" not in f"{text!r} {text}"
    assert text.model_dump()["words"] == "wallaby"


@pytest.mark.parametrize(
    ("given", "words", "text_id"),
    [
        ({"reason": "requested", "by": "customer", "text_id": "t1"}, "", "t1"),  # the API's, left as a signal
        ("changed my mind", "changed my mind", None),
        (None, "", None),
        ({"reason": "late", "text_id": 7}, "late", None),
    ],
)
def test_a_cancel_has_words_or_names_a_text(given: object, words: str, text_id: str | None) -> None:
    """Whoever sends words by hand has them stored; the API has done so before it asks."""
    request = CancelRequest.from_input(given)
    assert (request.words, request.text_id) == (words, text_id)
