"""What routes about orders take from their paths and headers."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import Depends, Header, Path

from api.http.statuses import Malformed
from domain.errors import BadField
from services.orders.named import no_such_order

KEY_LENGTH = 255
ORDER_ID_LENGTH = 32


async def idempotency_key(
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="1 to 255 visible ASCII characters; makes retries safe"),
    ] = None,
) -> str | None:
    if key is not None and not (0 < len(key) <= KEY_LENGTH and all("!" <= letter <= "~" for letter in key)):
        message = f"1 to {KEY_LENGTH} visible ASCII characters are needed"
        raise Malformed("bad_idempotency_key", message, fields=[BadField("Idempotency-Key", message)])
    return key


async def known_shape(order_id: Annotated[str, Path(alias="orderId")]) -> str:
    """Answers 404 to what cannot be an order's id without asking the database."""
    if len(order_id) != ORDER_ID_LENGTH or not set(order_id) <= set("0123456789abcdef"):
        raise no_such_order()
    structlog.contextvars.bind_contextvars(order_id=order_id)  # for every line of this request
    return order_id


KeyDep = Annotated[str | None, Depends(idempotency_key)]
OrderIdDep = Annotated[str, Depends(known_shape)]
