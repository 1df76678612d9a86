"""The payments to compare, by windows of time: those that Stripe lists, then those of orders that changed in it.

How far the comparison has got is written down after every page, so that a run that dies is gone on with, however
many payments a window has. What was compared but not written down yet is compared twice, which changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlmodel import col, func, select

from adapters.clock import now
from adapters.postgres.database import Sessions
from adapters.stripe.lists import StripeLists
from domain.commands import Message
from domain.errors import PaymentNotFound
from domain.recovery import OrderCursor, PaymentAtStripe, ReconcileOrders
from services.orders.tables import Order
from services.recovery.cursors import move_cursor, position_of
from services.recovery.payment_comparison import changed

CURSOR, CURSOR_AGAIN = "payments_compared", "payments_compared_again"
LOOK_BACK = timedelta(days=3)  # of the first comparison
WINDOW = timedelta(hours=1)
OVERLAP = timedelta(minutes=10)  # clocks differ, and a payment is created before its row is
A_DAY, DAYS_AGAIN = timedelta(days=1), 35  # for how long a payment is compared again, each day
WINDOW_AGAIN = timedelta(minutes=15)  # of each of these days
ENOUGH = timedelta(seconds=90)  # for one look at a window: the next one goes on
ORDERS = 100  # whose payments are retrieved for one page
AT_ONCE = 8  # of them: Stripe allows 25 requests a second in test mode (https://docs.stripe.com/rate-limits)


class Position(Message):
    """How far the comparison has got in its window."""

    since: datetime
    until: datetime
    days: int = 0  # before the window, of the list that is read
    listed: str | None = None  # the last payment of this list that was compared
    changed: OrderCursor | None = None  # the list is done: the last order whose payments were compared


@dataclass(frozen=True)
class Page:
    """Payments that are compared together, in one statement on our books."""

    payments: list[PaymentAtStripe]
    unknown: Sequence[str] = ()  # payments of our books that Stripe does not know


class PaymentWindow(ABC):
    """One window, or what one look has time for; with `order_ids` the time of these, which is not written down."""

    cursor: ClassVar[str]

    def __init__(
        self, sessions: Sessions, stripe: StripeLists, asked: ReconcileOrders, enough: timedelta = ENOUGH
    ) -> None:
        self._sessions, self._stripe, self._asked, self._enough = sessions, stripe, asked, enough
        self._end = now() - asked.unchanged_for
        self.more = False  # after `pages`: whether there is something left for the next look

    async def pages(self) -> AsyncGenerator[Page]:
        """Goes on where the last look stopped; a page counts as compared when the next one is asked for."""
        began, position = time.monotonic(), await self._position()
        async for page, reached in self._from(position):
            yield page
            await self._write_down(reached.since, reached.model_dump_json())
            if not self._asked.order_ids and time.monotonic() - began > self._enough.total_seconds():
                self.more = True
                return
        await self._write_down(position.until, None)
        self.more = position.until < self._end

    @abstractmethod
    def _begin(self, at: datetime | None) -> Position:
        """The next window after the cursor's time, None when there is no cursor yet."""

    @abstractmethod
    def _from(self, position: Position) -> AsyncIterator[tuple[Page, Position]]:
        """The pages after a position, each with the position after it."""

    async def _position(self) -> Position:
        async with self._sessions() as session:
            if self._asked.order_ids:
                oldest = select(func.min(Order.created_at)).where(col(Order.order_id).in_(self._asked.order_ids))
                return Position(since=(await session.exec(oldest)).one() or self._end, until=self._end)
            at, value = await position_of(session, self.cursor)
        return Position.model_validate_json(value) if value is not None else self._begin(at)

    async def _listed(
        self, position: Position, since: datetime, until: datetime
    ) -> AsyncIterator[tuple[Page, Position]]:
        async for listed in self._stripe.payments(since, until, after=position.listed):
            ours = [one for one in listed if not self._asked.order_ids or one.order_id in self._asked.order_ids]
            yield Page(ours), _moved(position, listed=listed[-1].id if listed else None)

    async def _write_down(self, at: datetime, position: str | None) -> None:
        if not self._asked.order_ids:
            async with self._sessions() as session, session.begin():
                await move_cursor(session, self.cursor, at, position)


class NewPayments(PaymentWindow):
    """What Stripe lists of a time, and then the payments of orders whose last change was in it."""

    cursor = CURSOR

    def _begin(self, at: datetime | None) -> Position:
        since = min(at or self._end - LOOK_BACK, self._end)
        return Position(since=since, until=min(since + WINDOW, self._end))

    async def _from(self, position: Position) -> AsyncIterator[tuple[Page, Position]]:
        seen = set[str]()
        if position.changed is None:
            async for page, reached in self._listed(position, position.since - OVERLAP, position.until):
                seen.update(one.id for one in page.payments)
                yield page, reached
        after = position.changed or OrderCursor(updated_at=position.since, order_id="")
        while True:
            async with self._sessions() as session:
                connection = await session.connection()
                found, last = await changed(connection, after, position.until, self._asked.order_ids, ORDERS)
            if last is None:
                return
            after, position = last, _moved(position, changed=last)
            yield await self._retrieved([payment_id for payment_id in found if payment_id not in seen]), position

    async def _retrieved(self, payment_ids: Sequence[str]) -> Page:
        room = asyncio.Semaphore(AT_ONCE)

        async def retrieve(payment_id: str) -> PaymentAtStripe | None:
            async with room:
                try:
                    return await self._stripe.payment(payment_id)
                except PaymentNotFound:
                    return None

        found = dict(zip(payment_ids, await asyncio.gather(*map(retrieve, payment_ids)), strict=True))
        return Page([one for one in found.values() if one], [id_ for id_, one in found.items() if one is None])


class PaymentsAgain(PaymentWindow):
    """Those that were created at this time of the day, on each day of the last weeks."""

    cursor = CURSOR_AGAIN

    def _begin(self, at: datetime | None) -> Position:
        """What was missed for longer than a day has its turn today."""
        since = min(max(at or self._end - WINDOW_AGAIN, self._end - A_DAY), self._end)
        return Position(since=since, until=min(since + WINDOW_AGAIN, self._end))

    async def _from(self, position: Position) -> AsyncIterator[tuple[Page, Position]]:
        if position.since == position.until:
            return
        for days in range(max(position.days, 1), DAYS_AGAIN + 1):
            ago = days * A_DAY
            of_day = position if days == position.days else _moved(position, days=days, listed=None)
            async for page, reached in self._listed(of_day, position.since - ago, position.until - ago):
                yield page, reached


def _moved(position: Position, **further: Any) -> Position:
    return position.model_copy(update=further)
