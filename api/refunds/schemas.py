"""What operators send about refunds, and what they get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from api.http.fields import Amount, Body, Text40, Text500, Wire
from domain.refunds import RefundState
from services.refunds.requests import RefundRead

KEY_RULE = "1 to 64 letters, digits, dots, dashes or underscores"


class RefundWanted(Body):
    """A part of the captured money that is to go back, in the order's currency."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"amount": "5.00", "reason": "the box was dented", "by": "alice"}]}
    )

    amount: Amount = Field(description="exact, in major units of the order's currency", examples=["5.00"])
    reason: Annotated[Text500, StringConstraints(min_length=1)]
    by: Text40 | None = Field(default=None, description="as your token says; may be left out")


def _unset(value: object) -> bool:
    return value is None


class RefundView(Wire):
    order_id: str
    key: str = Field(description="the Idempotency-Key that it was asked for with")
    amount: str = Field(description="a decimal string", examples=["5.00"])
    currency: str
    reason: str
    by: str
    status: RefundState
    detail: str | None = Field(default=None, exclude_if=_unset, description="why it failed")
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
        created_at=row.created_at,
    )
