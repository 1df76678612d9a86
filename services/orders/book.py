"""An order, its timeline, its fences and its events, changed together under the lock of the order's row.

Every step of the saga writes through `LockedOrder`, so that status, timeline row and events are one transaction and
a repeat of the step writes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from adapters.postgres.database import Sessions
from domain.errors import StepUndone
from domain.events import EventItem, EventName, OrderEventData, item
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus
from domain.steps import FenceState
from services.orders.tables import Order, OrderLine, OrderStep, TimelineEntry
from services.outbox.events import new_event_id, outbox_row
from services.outbox.tables import OutboxEvent

EVENT_SOURCE = "/orders"

Reached = Callable[[Order, OrderStatus], None]
"""Told of each new status of an order, once its transaction is committed."""
Opened = Callable[[Order], None]
"""Told of each order that is opened, as its row is before anything is changed."""


class LockedOrder:
    """One order in an open transaction that holds the lock of its row."""

    def __init__(self, session: AsyncSession, row: Order, steps: dict[str, OrderStep]) -> None:
        self.session = session
        self.row = row
        self.reached: list[OrderStatus] = []  # in this transaction
        self._steps = steps
        self._lines: list[OrderLine] | None = None

    @property
    def status(self) -> OrderStatus:
        """Where the order stands, with the changes of this transaction."""
        return OrderStatus(self.row.status)

    @property
    def total(self) -> Money:
        """What the checkout came to; lines that were dropped since are part of it."""
        return Money(minor=self.row.total_minor, currency=self.row.currency)

    # fences ----------------------------------------------------------------------------------------------------

    def require_not_undone(self, name: str) -> None:
        """Every forward transaction of a step begins with this. Raises StepUndone where the undo came first."""
        if self.state_of(name) is FenceState.UNDONE:
            raise StepUndone(f"{name} of order {self.row.order_id} was undone before this attempt of it")

    def state_of(self, name: str) -> FenceState | None:
        """Whether the step was done, refused or undone; None where it has left no fence."""
        fence = self._steps.get(name)
        return FenceState(fence.state) if fence else None

    def result_of(self, name: str) -> dict[str, Any] | None:
        """What the step answered when it was marked; None where it left no answer."""
        fence = self._steps.get(name)
        return fence.result if fence else None

    def fence(self, name: str) -> OrderStep | None:
        """The step's fence, whatever its state."""
        return self._steps.get(name)

    def mark(self, name: str, state: FenceState, result: dict[str, Any] | None = None) -> None:
        """Sets the step's fence: its state, and the answer that a repeat of the step gives."""
        fence = self._steps.get(name)
        if fence is None:
            fence = OrderStep(order_id=self.row.order_id, step=name, state=state.value)
            self._steps[name] = fence
        fence.state, fence.result, fence.updated_at = state.value, result, now()
        self.session.add(fence)

    # timeline and events ---------------------------------------------------------------------------------------

    def move(self, to: OrderStatus, what: str, *, by: str | None = None, texts: Sequence[str] = ()) -> None:
        """Writes a timeline row that leads to `to`; the database refuses a forbidden transition.

        `texts` are the ids of what people wrote, for the places in `what`.
        """
        row, at = self.row, now()
        if to != row.status:
            self.reached.append(to)
        self.session.add(
            TimelineEntry(
                order_id=row.order_id,
                sequence=row.version + 1,
                previous=row.version,
                at=at,
                from_status=row.status,
                to_status=to,
                what=what,
                text_ids=list(texts) or None,
                by=by,
            )
        )
        row.version, row.status, row.updated_at = row.version + 1, to.value, at

    def note(self, what: str, *, by: str | None = None, texts: Sequence[str] = ()) -> None:
        """Writes a timeline row that leaves the state as it is."""
        self.move(self.status, what, by=by, texts=texts)

    def paid(self, status: PaymentStatus) -> None:
        """Sets the order's payment status; the payment's own row is the caller's to write."""
        self.row.payment_status = status.value

    async def emit(
        self,
        *names: EventName,
        reason: str | None = None,
        reason_id: str | None = None,
        tracking: str | None = None,
        amount: Money | None = None,
    ) -> None:
        """Adds order events to the outbox, numbered without gaps under the row's lock.

        `reason` is a code or words of ours; for what a person wrote the event names the text, as `reason_id`.
        """
        lines = await self.lines()
        for name in names:
            self.row.event_sequence += 1
            self.session.add(_event_of(self.row, lines, name, reason, reason_id, tracking, amount))

    async def lines(self) -> list[OrderLine]:
        """The order's lines in the order in which the client named them; but for `dropped`, they never change."""
        if self._lines is None:
            self._lines = await order_lines(self.session, self.row.order_id)
        return self._lines


def _event_of(
    row: Order,
    lines: list[OrderLine],
    name: EventName,
    reason: str | None = None,
    reason_id: str | None = None,
    tracking: str | None = None,
    amount: Money | None = None,
) -> OutboxEvent:
    data = OrderEventData(
        event_id=new_event_id(),
        event_type=name,
        detail_type=name,
        timestamp=now(),
        order_id=row.order_id,
        user_id=row.customer_id,
        customer_id=row.customer_id,
        order_status=OrderStatus(row.status),
        payment_status=PaymentStatus(row.payment_status),
        items=_items(row, lines),
        currency=row.currency,
        total_amount=Money(minor=row.total_minor, currency=row.currency).decimal,
        reason=reason,
        reason_id=reason_id,
        tracking_number=tracking,
        amount=amount.decimal if amount else None,
    )
    return outbox_row(EVENT_SOURCE, row.order_id, row.event_sequence, data)


def _items(row: Order, lines: list[OrderLine]) -> list[EventItem]:
    return [
        item(line.product_id, line.quantity, Money(minor=line.unit_price_minor, currency=row.currency))
        for line in lines
        if not line.dropped
    ]


class OrderBook:
    """Opens orders for a change."""

    def __init__(
        self, sessions: Sessions, reached: Reached = lambda row, status: None, opened: Opened = lambda row: None
    ) -> None:
        self._sessions = sessions
        self._reached = reached
        self._opened = opened

    @asynccontextmanager
    async def locked(self, order_id: str) -> AsyncIterator[LockedOrder]:
        """The order under its row's lock, in a transaction that commits when the block ends without an error.

        Raises LookupError for an order that does not exist. Never call a far end inside the block.
        """
        async with self._sessions() as session, session.begin():
            order = await lock_order(session, order_id)
            self._opened(order.row)
            yield order
        for status in order.reached:
            self._reached(order.row, status)


# Built once: building a statement costs about as much as running it.
_ORDER = select(Order).where(Order.order_id == bindparam("order_id")).with_for_update()
_STEPS = select(OrderStep).where(OrderStep.order_id == bindparam("order_id"))
_LINES = select(OrderLine).where(OrderLine.order_id == bindparam("order_id")).order_by(col(OrderLine.line_number))


async def lock_order(session: AsyncSession, order_id: str) -> LockedOrder:
    """The order with its fences, locked until the transaction ends. Raises LookupError where there is none."""
    of = {"order_id": order_id}
    row = (await session.exec(_ORDER, params=of)).one_or_none()
    if row is None:
        raise LookupError(f"no order {order_id}")
    steps = await session.exec(_STEPS, params=of)  # only now: what is read before the lock may be old
    return LockedOrder(session, row, {step.step: step for step in steps})


async def order_lines(session: AsyncSession, order_id: str) -> list[OrderLine]:
    """The order's lines in the order in which the client named them."""
    return list(await session.exec(_LINES, params={"order_id": order_id}))


async def place_order(
    session: AsyncSession, row: Order, lines: list[OrderLine], *, at: datetime | None = None
) -> LockedOrder:
    """Stores a new order: row, lines, the first timeline row (PLACED) and OrderPlaced.

    The caller has made sure, in the same transaction, that no order of that id exists.
    """
    at = at or row.created_at
    row.status, row.version, row.event_sequence = OrderStatus.PLACED.value, 1, 1
    session.add(row)
    await session.flush()
    session.add_all(lines)
    session.add(
        TimelineEntry(
            order_id=row.order_id,
            sequence=1,
            previous=0,
            at=at,
            to_status=OrderStatus.PLACED,
            what="order placed",
        )
    )
    session.add(_event_of(row, lines, EventName.ORDER_PLACED))
    await session.flush()
    return LockedOrder(session, row, {})
