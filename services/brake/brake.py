"""The brake: when too many orders would end by our own fault within minutes, none is turned back any more.

A person releases it (`ordersaga brake release`), and then the orders that it held try their step again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func
from sqlalchemy import text as sql
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from adapters.clock import now
from adapters.settings import Settings
from domain.brake import EndsByOurFault, pulls
from domain.errors import Conflict
from domain.order_states import OrderStatus
from domain.repairs import BRAKE
from domain.texts import TextKind
from services.brake.tables import BrakePull, EndByOurFault
from services.orders.tables import Order
from services.texts import texts
from services.tickets.book import close_ticket_about, open_ticket_about

TURN_BACK = "turn_back"
"""The step under which the repair desk knows the brake's ticket."""

MAY_BE_HELD = (OrderStatus.PLACED, OrderStatus.RESERVED, OrderStatus.AWAITING_CUSTOMER, OrderStatus.CONFIRMED)

_LOCK = sql("SELECT pg_advisory_xact_lock(hashtext('ordersaga brake'))")


@dataclass(frozen=True)
class BrakeRule:
    """At least `orders` in `window`, and more than `share` of those that were placed in it."""

    orders: int
    share: float
    window: timedelta

    @classmethod
    def of(cls, settings: Settings) -> BrakeRule:
        """The shop's own rule."""
        return cls(settings.brake_orders, settings.brake_share, settings.brake_window)


@dataclass(frozen=True)
class BrakeFinding:
    """Whether the brake is on, and whether it has held this order, now or before."""

    on: bool
    held: bool


async def ask(session: AsyncSession, rule: BrakeRule, end: EndsByOurFault) -> BrakeFinding:
    """Counts an order that would end by our fault, and pulls the brake when these are too many."""
    known = await session.get(EndByOurFault, (end.order_id, end.turn))
    pull_id = await _on(session)
    if pull_id is None and (known is None or known.pull_id is None):
        await session.exec(_LOCK)  # type: ignore[call-overload]  # SQLModel knows no plain text
        known = known or await _count(session, end)
        pull_id = await _on(session) or await _pull(session, rule)
    known = known or await _count(session, end)
    known.pull_id = known.pull_id or pull_id
    return BrakeFinding(pull_id is not None, known.pull_id is not None)


async def _count(session: AsyncSession, end: EndsByOurFault) -> EndByOurFault:
    counted = EndByOurFault(order_id=end.order_id, turn=end.turn, step=end.step, code=end.code)
    session.add(counted)
    await session.flush()
    return counted


async def _on(session: AsyncSession) -> int | None:
    return (await session.exec(select(BrakePull.id).where(col(BrakePull.released_at).is_(None)))).first()


async def _pull(session: AsyncSession, rule: BrakeRule) -> int | None:
    """The new pull's id; None where the orders that would end are not too many."""
    released = (await session.exec(select(func.max(BrakePull.released_at)))).one()
    since = now() - rule.window
    ends = select(EndByOurFault.order_id).where(EndByOurFault.at > max(since, released or since)).distinct()
    ended = (await session.exec(select(func.count()).select_from(ends.subquery()))).one()
    if ended < rule.orders:
        return None
    enough = int(ended / rule.share) + 1 if rule.share else 1  # of so many orders it would be no more than the share
    orders = select(Order.order_id).where(Order.created_at > since).limit(enough).subquery()
    placed = (await session.exec(select(func.count()).select_from(orders))).one()
    if not pulls(ended, placed, at_least=rule.orders, share=rule.share):
        return None
    of = f"{placed} placed" if placed < enough else f"{enough} or more placed"
    pull = BrakePull(why=f"{ended} orders would end by our own fault within {rule.window}, of {of} in that time")
    session.add(pull)
    await session.flush()
    detail = f"{pull.why}: mend it, then `ordersaga brake release`"
    await open_ticket_about(session, BRAKE, TURN_BACK, detail)
    return pull.id


@dataclass(frozen=True)
class BrakeState:
    """Whether the brake is on, for an operator."""

    on: bool
    pull: BrakePull | None = None  # the last one
    held: int = 0  # orders that wait for the release


async def state_of(session: AsyncSession) -> BrakeState:
    """Reads whether the brake is on, why, and how many orders it holds."""
    query = select(BrakePull).order_by(col(BrakePull.id).desc()).limit(1)
    pull = (await session.exec(query)).first()
    if pull is None or pull.released_at is not None:
        return BrakeState(False, pull)
    held = (
        select(func.count(func.distinct(Order.order_id)))
        .join(EndByOurFault, col(EndByOurFault.order_id) == Order.order_id)
        .where(EndByOurFault.pull_id == pull.id, col(Order.status).in_(MAY_BE_HELD))
    )
    return BrakeState(True, pull, (await session.exec(held)).one())


async def release(session: AsyncSession, by: str, note_id: str | None) -> BrakePull | None:
    """Lets orders end again, and those that were held try again. None when the brake was not on.

    `note_id` names the text in which whoever releases it says why.
    """
    query = select(BrakePull).where(col(BrakePull.released_at).is_(None)).with_for_update()
    pull = (await session.exec(query)).first()
    if pull is None:
        return None
    pull.released_at, pull.released_by, pull.note_id = now(), by, note_id
    session.add(pull)
    await close_ticket_about(session, BRAKE, TURN_BACK)
    return pull


async def release_with_note(session: AsyncSession, by: str, note: str) -> None:
    """The same by somebody who says why in words, which are kept as a text. Raises Conflict where it is not on."""
    note_id = await texts.keep(session, TextKind.REPAIR_NOTE, note, order_id=None)
    if await release(session, by, note_id) is None:
        raise Conflict("brake_not_on", "the brake is not on")


async def note_of(session: AsyncSession, pull: BrakePull | None) -> str | None:
    """What whoever released the brake said; None where nobody has said anything."""
    if pull is None or pull.note_id is None:
        return None
    return (await texts.read(await session.connection(), [pull.note_id]))[pull.note_id]
