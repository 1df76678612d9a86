"""The brake: when too many orders would end by our own fault at once, none is turned back any more."""

from __future__ import annotations

from domain.commands import Message


class EndsByOurFault(Message):
    """An order that would be turned back since `step` failed with `code`, one of ours, for the `turn`th time."""

    order_id: str
    turn: int
    step: str
    code: str


class BrakeAnswer(Message):
    """`try_again`: the brake has held the order and was released since, so the fault may be mended."""

    try_again: bool


def pulls(ended: int, placed: int, *, at_least: int, share: float) -> bool:
    """Whether `ended` orders are too many to be turned back by our own fault, of `placed` in the same time."""
    return ended >= at_least and ended > share * placed
