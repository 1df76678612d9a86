"""Texts: what people write in their own words. One table keeps the words, everything else carries their id.

Why: docs/decisions/0018-texts-by-id.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from domain.commands import Message

PLACE = "{}"
"""The place in a timeline row that a text fills when the row is read."""

ERASED = "[erased]"
"""What readers get in the place of a text that was erased."""


class TextKind(StrEnum):
    """What a text was written for; stored with it, so that texts can be erased by kind."""

    CANCEL_REASON = "cancel_reason"
    REFUND_REASON = "refund_reason"
    DROP_REASON = "drop_reason"
    REPAIR_NOTE = "repair_note"
    REPAIR_EVIDENCE = "repair_evidence"


class KeepText(Message):
    """The argument of the activity `keep_text`: words to be stored under an id that was drawn before the call.

    Since the id is given, a repeat stores the words once. `words` is left out of the message's `repr` and of logs.
    """

    text_id: str
    order_id: str
    kind: TextKind
    words: str = Field(repr=False)


def quote(what: str, texts: Sequence[str]) -> str:
    """`what` with each `PLACE` replaced by the next text; a `PLACE` inside a text is left as it is."""
    head, *rest = what.split(PLACE, len(texts))
    return head + "".join(text + part for text, part in zip(texts, rest, strict=False))
