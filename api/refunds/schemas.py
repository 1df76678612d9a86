"""What operators send about refunds, and what they get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from api.http.fields import Amount, Body, Identifier, Text40, Text500, Wire
from domain.limits import MAX_LINES, MAX_QUANTITY
from domain.money import Money
from domain.refunds import RefundState
from services.refunds.requests import RefundRead

KEY_RULE = "1 to 64 letters, digits, dots, dashes or underscores"


class RefundItemWanted(Body):
    product_id: Identifier
    quantity: Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]


class RefundWanted(Body):
    """A part of the captured money that is to go back: an amount, or what was paid for pieces of the order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"amount": "5.00", "reason": "the box was dented"},
                {"items": [{"productId": "456", "quantity": 1}], "reason": "came back"},
            ]
        }
    )

    amount: Amount | None = Field(
        default=None, description="exact, in major units of the order's currency", examples=["5.00"]
    )
    items: list[RefundItemWanted] = Field(
        default=[],
        max_length=MAX_LINES,
        description="instead of an amount: the pieces that came back, which give back what was paid for them, with "
        "the shipping fee when they are the last of the order",
    )
    reason: Annotated[Text500, StringConstraints(min_length=1)]
    by: Text40 | None = Field(default=None, description="as your token says; may be left out")


def _unset(value: object) -> bool:
    return value is None or value == []


class RefundItem(Wire):
    product_id: str
    quantity: int
    amount: str = Field(description="what was paid for these pieces, a decimal string", examples=["23.87"])


class RefundView(Wire):
    order_id: str
    key: str = Field(description="the Idempotency-Key that it was asked for with")
    amount: str = Field(description="a decimal string", examples=["5.00"])
    currency: str
    reason: str
    by: str
    status: RefundState
    detail: str | None = Field(default=None, exclude_if=_unset, description="why it failed")
    items: list[RefundItem] = Field(
        default=[], exclude_if=_unset, description="its pieces; what the amount is above theirs is the shipping fee"
    )
    created_at: datetime


class RefundList(Wire):
    order_id: str
    refunds: list[RefundView]


def view_of(refund: RefundRead) -> RefundView:
    row, amount = refund.row, refund.amount
    return RefundView(
        order_id=row.order_id,
        key=row.key,
        amount=amount.decimal,
        currency=amount.currency,
        reason=refund.reason,
        by=row.by,
        status=RefundState(row.state),
        detail=row.detail,
        items=[
            RefundItem(
                product_id=line.product_id,
                quantity=line.quantity,
                amount=Money(minor=line.amount_minor, currency=amount.currency).decimal,
            )
            for line in refund.lines
        ],
        created_at=row.created_at,
    )
