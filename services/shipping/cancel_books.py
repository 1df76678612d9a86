"""What an order's rows and its parcel's say to a wish to cancel: where they allow of one answer only, no workflow is
asked."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.cancellation import TABLE, Decision, Rule, decide
from domain.commands import CancelAnswer, ParcelStatus
from domain.identities import EVERYTHING, Visible
from domain.order_states import FINAL, OrderStatus
from domain.shipping import ShipmentState
from domain.steps import CANCEL_SHIPMENT, SHIP, FenceState
from services.orders.named import no_such_order
from services.orders.tables import Order, OrderStep
from services.orders.visible import IS_VISIBLE, owner_of
from services.shipping.tables import ShipmentRow

LABELED = (OrderStatus.CONFIRMED, OrderStatus.READY_TO_SHIP)
"""States in which the parcel may have been scanned already."""

orders = Order.__table__  # type: ignore[attr-defined]
shipments = ShipmentRow.__table__  # type: ignore[attr-defined]
bought = OrderStep.__table__.alias("bought")  # type: ignore[attr-defined]
settled = OrderStep.__table__.alias("settled")  # type: ignore[attr-defined]

# Built once: building a statement costs about as much as running it.
_SEEN = (
    select(
        orders.c.status,
        shipments.c.state.label("label"),
        shipments.c.parcel_status,
        bought.c.state.label("bought"),
        settled.c.step.is_not(None).label("settled"),
    )
    .select_from(
        orders.outerjoin(shipments, shipments.c.order_id == orders.c.order_id)
        .outerjoin(bought, and_(bought.c.order_id == orders.c.order_id, bought.c.step == SHIP))
        .outerjoin(settled, and_(settled.c.order_id == orders.c.order_id, settled.c.step == CANCEL_SHIPMENT))
    )
    .where(orders.c.order_id == bindparam("order_id"), IS_VISIBLE)
)


@dataclass(frozen=True)
class Seen:
    """An order as its rows have it."""

    status: OrderStatus
    scanned: bool = False
    """The carrier has the parcel; no person has taken the label off, and no void is being asked for: the carrier may
    have carried that out before the scan."""

    @property
    def rule(self) -> Rule:
        """The rule that decides. What follows from a scan is certain, since it is never taken back: the step
        `cancel_shipment` decides the same."""
        return TABLE[OrderStatus.SHIPPED] if self.scanned and self.status in LABELED else decide(self.status)

    @property
    def is_closed(self) -> bool:
        """Whether a cancel has nothing left to do: the order has ended, or is being canceled."""
        return self.status in FINAL or self.status is OrderStatus.CANCELING

    @property
    def answer(self) -> CancelAnswer | None:
        """What a wish to cancel is told; None where the order's workflow has to decide."""
        if self.rule.decision not in (Decision.JOINED, Decision.REFUSED):
            return None
        joined = self.rule.decision is Decision.JOINED
        return CancelAnswer(accepted=joined, code=self.rule.code, status=self.status)


async def look(reads: AsyncEngine, order_id: str, visible: Visible = EVERYTHING) -> Seen:
    """The order as its rows have it now. Raises NotFound for one that does not exist, or is not to be seen."""
    async with reads.connect() as connection:
        row = (await connection.execute(_SEEN, {"order_id": order_id, **owner_of(visible)})).one_or_none()
    if row is None:
        raise no_such_order()
    stays = row.label == ShipmentState.BOUGHT and row.bought == FenceState.DONE and not row.settled
    return Seen(OrderStatus(row.status), stays and ParcelStatus(row.parcel_status).scanned)
