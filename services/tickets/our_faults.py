"""Which orders wait for a fault of ours to be mended (`OurFault`), and the one ticket of each cause.

An order says in `waits_for` what it waits for; the ticket of the cause is open as long as any order says so. Whoever
changes one of the two holds the ticket's row, so that none can miss the other.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.commands import Attention
from domain.errors import OurFault
from domain.repairs import OUR_FAULT, STEP_KEEPS_FAILING
from services.orders.book import LockedOrder
from services.orders.tables import Order
from services.tickets.book import close_ticket_about, open_ticket, open_ticket_about
from services.tickets.tables import Ticket

MOST = 100_000
"""Where counting those who wait ends: it must stay cheap."""

FEW = 5

_CAUSE = col(Order.waits_for)["cause"].astext
_WAITS_FOR = select(Order.waits_for).where(Order.order_id == bindparam("order_id"))


async def wait(order: LockedOrder, step: str, fault: OurFault) -> None:
    """The step waits for the fault to be mended; the cause has its ticket."""
    former = order.row.waits_for
    await _hold_ticket(order.session, fault.far_end, fault.cause, f"{fault.cause}: {fault.mend or fault}")
    if former is not None and (former["cause"], former["step"]) == (fault.cause, step):
        return
    order.row.waits_for = {
        "cause": fault.cause,
        "farEnd": fault.far_end,
        "code": fault.code,
        "step": step,
        "called": former is not None and former["step"] == step and former["called"],
    }
    if former is not None and former["cause"] != fault.cause:
        await _close_unless_awaited(order, former)


async def go_on(order: LockedOrder) -> None:
    """The order waits no more; the last one to do so closes the ticket of the cause."""
    former, order.row.waits_for = order.row.waits_for, None
    if former is not None:
        await _close_unless_awaited(order, former)


async def fails_otherwise(order: LockedOrder) -> None:
    """The step still fails, but for another reason: whoever was sent away because of the cause's ticket is called."""
    former = order.row.waits_for
    if former is not None and former["called"]:
        why = "still retried; its pending activity shows the last error"
        about = Attention(order_id=order.row.order_id, step=former["step"], kind=STEP_KEEPS_FAILING, detail=why)
        await open_ticket(order, about)
    await go_on(order)


async def ticket_instead(order: LockedOrder, step: str) -> int | None:
    """The cause's open ticket, where the step waits for one: it stands for one of the order's own."""
    waits = order.row.waits_for
    if waits is None or waits["step"] != step:
        return None
    if not waits["called"]:
        order.row.waits_for = {**waits, "called": True}
        order.note(f"waits for a fault of ours to be mended: {step}: {waits['cause']}", by="saga")
    return await _hold_ticket(order.session, waits["farEnd"], waits["cause"], waits["cause"])


async def is_waiting(reads: AsyncEngine, order_id: str) -> bool:
    """Whether the order waits for a fault of ours to be mended."""
    async with reads.connect() as connection:
        return (await connection.execute(_WAITS_FOR, {"order_id": order_id})).scalar_one_or_none() is not None


async def count_waiting(session: AsyncSession, cause: str) -> int:
    """How many orders wait for the cause; counting ends at `MOST`."""
    some = select(Order.order_id).where(*_waiting(cause)).limit(MOST).subquery()
    return (await session.exec(select(func.count()).select_from(some))).one()


async def some_waiting(session: AsyncSession, cause: str) -> list[str]:
    """The ids of a few of them."""
    return list(await session.exec(select(Order.order_id).where(*_waiting(cause)).limit(FEW)))


def _waiting(cause: str) -> tuple[Any, Any]:
    return col(Order.waits_for).is_not(None), cause == _CAUSE


async def _hold_ticket(session: AsyncSession, far_end: str, cause: str, detail: str) -> int:
    """The cause's open ticket, which nobody closes before this transaction ends."""
    found = (await session.exec(_open_ticket(cause).with_for_update(read=True))).first()
    return found or await open_ticket_about(session, OUR_FAULT, far_end, detail, subject=cause)


async def _close_unless_awaited(order: LockedOrder, former: dict[str, Any]) -> None:
    session, cause = order.session, former["cause"]
    if (await session.exec(_open_ticket(cause).with_for_update())).first() is None:
        return
    if (await session.exec(select(Order.order_id).where(*_waiting(cause)).limit(1))).first() is None:
        await close_ticket_about(session, OUR_FAULT, former["farEnd"], subject=cause)


def _open_ticket(cause: str) -> Any:
    return select(Ticket.id).where(
        col(Ticket.order_id).is_(None),
        Ticket.kind == OUR_FAULT,
        Ticket.subject == cause,
        col(Ticket.resolved_at).is_(None),
    )
