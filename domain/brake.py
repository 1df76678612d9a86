"""The brake: while too many orders would end by our own fault at once, no order is rejected or undone for one."""

from __future__ import annotations

from domain.commands import Message


class EndsByOurFault(Message):
    """The question to the brake: may this order be undone because of `code`?

    `code` is one of `ENDS_BY_OUR_FAULT` in `domain/errors.py`, `step` the activity that failed. `turn` counts the
    order's questions from 1, so that a repeat of one counts once.
    """

    order_id: str
    turn: int
    step: str
    code: str


class BrakeAnswer(Message):
    """The answer of the brake, given when the order may go on.

    `try_again` is true when the brake held the order and a person has released it: the fault may be mended, so the
    step is tried once more. It is false when the order may be undone.
    """

    try_again: bool


def pulls(ended: int, placed: int, *, at_least: int, share: float) -> bool:
    """Whether the brake goes on: `ended` of the `placed` orders of one window would end by our own fault.

    Both bounds have to be met: at least `at_least` orders, and more than `share` (0 to 1) of those placed. The bounds
    are settings (`ORDERSAGA_BRAKE_ORDERS`, `ORDERSAGA_BRAKE_SHARE`); the window is `ORDERSAGA_BRAKE_WINDOW`.
    """
    return ended >= at_least and ended > share * placed
