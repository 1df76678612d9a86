"""What people write in their own words: the words are kept in one table, everything else carries their id."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from domain.commands import Message

PLACE = "{}"
"""Where a timeline row quotes a text."""

ERASED = "[erased]"
"""What is read where a text was erased."""


class TextKind(StrEnum):
    CANCEL_REASON = "cancel_reason"
    REFUND_REASON = "refund_reason"
    DROP_REASON = "drop_reason"
    REPAIR_NOTE = "repair_note"
    REPAIR_EVIDENCE = "repair_evidence"


class KeepText(Message):
    """Words to be kept under an id that was made up before, so that a repeat keeps them once."""

    text_id: str
    order_id: str
    kind: TextKind
    words: str = Field(repr=False)


def quote(what: str, texts: Sequence[str]) -> str:
    """`what` with each of its places taken by the next text; what a text itself says is left as it is."""
    head, *rest = what.split(PLACE, len(texts))
    return head + "".join(text + part for text, part in zip(texts, rest, strict=False))
