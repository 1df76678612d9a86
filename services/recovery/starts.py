"""What a recovery starts from: the order as its rows have it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text

from adapters.postgres.database import Sessions
from domain.money import Money
from domain.order_states import OrderStatus
from domain.recovery import RECOVERED, RecoverOrder
from services.orders.tables import Order

# A wish without an id gets a number that no former one has; before wishes had ids, the fences had the numbers.
_CANCELS = text("""
    SELECT (SELECT count(*) FROM cancel_wishes WHERE order_id = :order_id)
         + (SELECT count(*) FROM order_steps
             WHERE order_id = :order_id AND (step LIKE 'cancel\\_request\\_%' OR step LIKE 'cancel\\_refusal\\_%'))
""")


async def recovery_input(
    sessions: Sessions, order_id: str, why: str, *, code: str = RECOVERED, unchanged_since: datetime | None = None
) -> RecoverOrder | None:
    """The input of `OrderRecovery`; None where the order was changed since `unchanged_since`.

    `why` says it to people, `code` to programs. Raises LookupError for an order that does not exist.
    """
    async with sessions() as session:
        row = await session.get(Order, order_id)
        if row is None:
            raise LookupError(f"no order {order_id}")
        if unchanged_since is not None and row.updated_at != unchanged_since:
            return None
        cancels = (await (await session.connection()).execute(_CANCELS, {"order_id": order_id})).scalar_one()
    return RecoverOrder(
        order_id=row.order_id,
        customer_id=row.customer_id,
        total=Money(minor=row.total_minor, currency=row.currency),
        why=why,
        code=code,
        status=OrderStatus(row.status),
        cancels=cancels,
        needs_attention=row.needs_attention,
    )
