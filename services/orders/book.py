"""An order, its timeline, its fences and its events, changed together under the lock of the order's row.

Every step of the saga writes through `LockedOrder`, so that status, timeline row and events are one transaction and
a repeat of the step writes nothing. One statement locks and reads the order with all that its steps need; another
one writes what they have changed (docs/decisions/0024-one-read-one-write.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from adapters.postgres.database import Sessions, autocommit, engine_of
from adapters.postgres.rows import Rows, new_row, parsed, write_new
from domain.errors import StepUndone
from domain.events import EventName
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus
from domain.steps import FenceState
from services.orders import private_fields
from services.orders.events import order_event
from services.orders.tables import Order, OrderAdjustment, OrderLine, OrderStep, TimelineEntry

Reached = Callable[[Order, OrderStatus], None]
"""Told of each new status of an order, once its transaction is committed."""
Opened = Callable[[Order], None]
"""Told of each order that is opened, as its row is before anything is changed."""
Committed = Callable[["LockedOrder"], None]
"""Told of each order whose transaction has added rows, once it is committed."""


Row = TypeVar("Row", bound=SQLModel)


class LockedOrder:
    """One order in an open transaction that holds the lock of its row.

    What is changed in its rows, and what is added, is written at the end of the transaction, or before the next query
    of `session`.
    """

    def __init__(self, connection: AsyncConnection, rows: Rows, session: AsyncSession | None = None) -> None:
        self._connection = connection
        self._rows = rows
        self._session = session
        if session is not None:
            self._write_before_queries_of(session)
        self.row = rows.of(Order)[0]
        self.reached: list[OrderStatus] = []  # in this transaction
        self.added: set[type[SQLModel]] = set()  # of which tables rows were added in it
        self._steps = {step.step: step for step in rows.of(OrderStep)}

    # rows ------------------------------------------------------------------------------------------------------

    def rows_of(self, model: type[Row]) -> list[Row]:
        """The order's rows of a table that is read with it (`lock_order`, in the migrations): changes are written.

        Payments and calls come by their attempts, lines as the client named them.
        """
        return self._rows.of(model)

    def add(self, row: SQLModel) -> None:
        """Adds a row of the order to one of these tables, or to its timeline and events."""
        self.added.add(type(row))
        self._rows.add(row)

    @property
    def session(self) -> AsyncSession:
        """For all other tables. It never touches those that are read with the order."""
        if self._session is None:
            self._session = AsyncSession(self._connection, expire_on_commit=False)
            self._write_before_queries_of(self._session)
        return self._session

    @property
    def connection(self) -> AsyncConnection:
        """For plain statements about other tables."""
        return self._connection

    async def write(self) -> None:
        """Writes what was changed since the last time."""
        if self._session is not None:
            await self._session.flush()
        if (changes := self._rows.take_changes()) is not None:
            await changes.execute(self._connection)

    def _write_before_queries_of(self, session: AsyncSession) -> None:
        def write(*_: Any) -> None:
            if (changes := self._rows.take_changes()) is not None:
                changes.execute_sync(session.sync_session.connection())

        event.listen(session.sync_session, "do_orm_execute", write)
        event.listen(session.sync_session, "before_flush", write)

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
            fence = self._steps[name] = new_row(OrderStep, order_id=self.row.order_id, step=name, state=state.value)
            self.add(fence)
        fence.state, fence.result, fence.updated_at = state.value, result, now()

    # timeline and events ---------------------------------------------------------------------------------------

    def move(self, to: OrderStatus, what: str, *, by: str | None = None, texts: Sequence[str] = ()) -> None:
        """Writes a timeline row that leads to `to`; the database refuses a forbidden transition.

        `texts` are the ids of what people wrote, for the places in `what`.
        """
        row, at = self.row, now()
        if to != row.status:
            self.reached.append(to)
        self.add(
            new_row(
                TimelineEntry,
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

    def emit(
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
        lines = self.lines()
        for name in names:
            self.row.event_sequence += 1
            self.add(order_event(self.row, lines, name, reason, reason_id, tracking, amount))

    def lines(self) -> list[OrderLine]:
        """The order's lines in the order in which the client named them; but for `dropped`, they never change."""
        return self.rows_of(OrderLine)


class OrderBook:
    """Opens orders for a change."""

    def __init__(
        self,
        sessions: Sessions,
        reached: Reached = lambda row, status: None,
        opened: Opened = lambda row: None,
        committed: Committed = lambda order: None,
    ) -> None:
        self._engine = engine_of(sessions)
        self._each_alone = autocommit(self._engine)
        self._reached = reached
        self._opened = opened
        self._committed = committed

    @asynccontextmanager
    async def locked(self, order_id: str) -> AsyncIterator[LockedOrder]:
        """The order under its row's lock, in a transaction that commits when the block ends without an error.

        Raises LookupError for an order that does not exist. Never call a far end inside the block.
        """
        async with self._engine.begin() as connection:
            order = await lock_order(connection, order_id)
            self._opened(order.row)
            yield order
            await order.write()
        for status in order.reached:
            self._reached(order.row, status)
        if order.added:
            self._committed(order)

    async def look(self, order_id: str) -> LockedOrder:
        """The order as it is now; its lock is given back at once, and nothing can be changed.

        Raises LookupError for an order that does not exist.
        """
        async with self._each_alone.connect() as connection:
            order = await lock_order(connection, order_id)
        self._opened(order.row)
        return order

    async def address_of(self, row: Order) -> dict[str, Any] | None:
        """Where the order goes; None where nobody said. Raises OurMistake for an address that was erased."""
        return await private_fields.address_of(self._each_alone, row)


async def lock_order(connection: AsyncConnection, order_id: str, session: AsyncSession | None = None) -> LockedOrder:
    """The order, locked until the transaction ends. Raises LookupError where there is none.

    `session`: the caller's, in the same transaction.
    """
    found = (await connection.exec_driver_sql("SELECT lock_order($1)::text", (order_id,))).scalar_one()
    if found is None:
        raise LookupError(f"no order {order_id}")
    return LockedOrder(connection, Rows(parsed(found)), session)


async def place_order(
    connection: AsyncConnection,
    row: Order,
    lines: list[OrderLine],
    adjustments: Sequence[OrderAdjustment] = (),
    *,
    at: datetime | None = None,
) -> None:
    """Stores a new order in one statement: row, lines, adjustments, the first timeline row (PLACED), OrderPlaced.

    Raises IntegrityError where an order of that id, or of that customer and key, exists.
    """
    at = at or row.created_at
    for line in lines:
        line.ordered_at = row.created_at
    row.status, row.version, row.event_sequence = OrderStatus.PLACED.value, 1, 1
    placed = new_row(
        TimelineEntry,
        order_id=row.order_id,
        sequence=1,
        previous=0,
        at=at,
        to_status=OrderStatus.PLACED,
        what="order placed",
    )
    told = order_event(row, lines, EventName.ORDER_PLACED)
    await write_new([row, *lines, *adjustments, placed, told]).execute(connection)
