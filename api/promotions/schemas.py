"""What operations send and get about promotions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from api.http.fields import Amount, Body, Currency, Identifier, Text40, Text200, Time, Wire
from domain.limits import MAX_QUANTITY
from domain.pricing.promotions import PromotionKind, Scope
from services.promotions import desk
from services.promotions.tables import PromotionChange, PromotionRow

Pieces = Annotated[int, Field(strict=True, ge=1, le=MAX_QUANTITY)]


class PromotionWanted(Body):
    """A promotion that is to be there. Without an id it gets one; the same id again changes nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"promotionId": "save10", "name": "Save 10 %", "kind": "percent", "value": "10"},
                {
                    "promotionId": "lamps-3-for-2",
                    "name": "3 lamps for 2",
                    "kind": "buy_x_get_y",
                    "buy": 2,
                    "get": 1,
                    "scope": "products",
                    "productIds": ["456"],
                    "automatic": True,
                },
            ]
        }
    )

    promotion_id: Identifier | None = None
    name: Text200
    kind: PromotionKind
    value: Amount | None = Field(default=None, description="in percent, or in major units of the currency")
    buy: Pieces | None = Field(default=None, description="of buy_x_get_y: pieces of one product to be paid")
    get: Pieces | None = Field(default=None, description="of buy_x_get_y: pieces that are free with them")
    scope: Scope = Scope.ORDER
    product_ids: list[Identifier] = Field(default=[], max_length=1000)
    min_subtotal: Amount | None = Field(default=None, description="of the lines in its scope, before discounts")
    currency: Currency = "USD"
    starts: Time | None = None
    ends: Time | None = None
    automatic: bool = Field(default=False, description="for every order, without a coupon")
    by: Text40 | None = None

    def data(self, promotion_id: str) -> desk.PromotionData:
        given = self.model_dump(exclude={"by", "promotion_id"})
        return desk.PromotionData(promotion_id=promotion_id, **given)


class PromotionChanged(Body):
    """Fields of a promotion that change; what is left out stays, null takes away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"active": False, "by": "alice"}]})

    name: Text200 = ""
    value: Amount | None = None
    buy: Pieces | None = None
    get: Pieces | None = None
    product_ids: list[Identifier] = Field(default=[], max_length=1000)
    min_subtotal: Amount | None = None
    starts: Time | None = None
    ends: Time | None = None
    automatic: bool = False
    active: bool = True
    by: Text40 | None = None

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True, exclude={"by"})


def _unset(value: Any) -> bool:
    return value is None or value == []


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


class PromotionView(Wire):
    promotion_id: str
    name: str
    kind: PromotionKind
    value: str | None = Field(default=None, exclude_if=_unset, examples=["10"])
    buy: int | None = Field(default=None, exclude_if=_unset)
    get: int | None = Field(default=None, exclude_if=_unset)
    scope: Scope
    product_ids: list[str] = Field(default=[], exclude_if=_unset)
    min_subtotal: str | None = Field(default=None, exclude_if=_unset, examples=["50.00"])
    currency: str
    starts: datetime | None = Field(default=None, exclude_if=_unset)
    ends: datetime | None = Field(default=None, exclude_if=_unset)
    automatic: bool
    active: bool

    @classmethod
    def of(cls, row: PromotionRow) -> PromotionView:
        data = desk.data_of(row)
        said = data.__dict__ | {"value": _plain(data.value), "product_ids": list(data.product_ids)}
        return cls(**said | {"min_subtotal": None if data.min_subtotal is None else str(data.min_subtotal)})


class ChangeView(Wire):
    at: datetime
    by: str
    code: str | None = Field(default=None, exclude_if=_unset, description="of the coupon that was changed")
    change: dict[str, Any] = Field(description="what was set, by the names of the fields")

    @classmethod
    def of(cls, row: PromotionChange) -> ChangeView:
        return cls(at=row.at, by=row.by, code=row.code, change=row.change)


class PromotionHistory(Wire):
    promotion_id: str
    changes: list[ChangeView] = Field(description="the latest hundred, newest first")


class PromotionList(Wire):
    promotions: list[PromotionView]
    next_cursor: str | None
