"""Card testing: who had too many cards declined may try no further one for a while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from api.deps import Services
from api.orders.checkout_answers import is_declined
from api.orders.view import OrderRecord
from domain.errors import TooMany


class Payer(NamedTuple):
    """For whom a card is tried, and from where, if that is known to be their own client."""

    customer_id: str
    address: str | None


async def _never() -> bool:
    return False


async def require(services: Services, payer: Payer, is_repeat: Callable[[], Awaitable[bool]] = _never) -> None:
    """Raises TooMany, but not for a repeat of what was taken: that tries no card, and gets its answer."""
    try:
        await services.limits.require_card_tries(*payer)
    except TooMany:
        if not await is_repeat():
            raise


async def count(services: Services, payer: Payer, record: OrderRecord) -> None:
    """Counts the card if the order says that it was declined."""
    if is_declined(record.view):
        await services.limits.count_decline(*payer)
