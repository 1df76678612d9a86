"""The one condition by which rows of orders are seen: whose they are. Every read by somebody outside has it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, or_

from domain.identities import Visible
from services.orders.tables import Order

orders = Order.__table__  # type: ignore[attr-defined]

OWNER = "owner"

IS_VISIBLE: ColumnElement[bool] = or_(
    bindparam(OWNER, type_=Text).is_(None), orders.c.customer_id == bindparam(OWNER, type_=Text)
)
"""With the parameters of `owner_of`: an order that is not to be seen is one that does not exist."""


def owner_of(visible: Visible) -> dict[str, Any]:
    """The parameters of the condition."""
    return {OWNER: visible.customer_id}
