"""What operations send and get about coupons."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from api.http.fields import Body, CouponCode, Identifier, Text40, Wire
from services.promotions.desk import CouponData
from services.promotions.tables import CouponRow

Limit = Annotated[int, Field(strict=True, ge=1, le=10**12)]


class CouponWanted(Body):
    """A code for a promotion, in any case. The same again changes nothing."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "SAVE10", "promotionId": "save10", "usageLimit": 100}]}
    )

    code: CouponCode
    promotion_id: Identifier
    usage_limit: Limit | None = Field(default=None, description="orders in all; none is no limit")
    per_customer: Limit | None = Field(default=None, description="orders of one customer")
    by: Text40 | None = None

    def data(self) -> CouponData:
        return CouponData(**self.model_dump(exclude={"by"}))


class CouponChanged(Body):
    """What changes of a coupon; what is left out stays, null takes a limit away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"usageLimit": 200, "by": "alice"}]})

    usage_limit: Limit | None = None
    per_customer: Limit | None = None
    active: bool = True
    by: Text40 | None = None

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True, exclude={"by"})


class CouponView(Wire):
    code: str
    promotion_id: str
    usage_limit: int | None
    per_customer: int | None
    used: int = Field(description="orders that hold it now; one that ended undone has given it back")
    active: bool

    @classmethod
    def of(cls, row: CouponRow) -> CouponView:
        return cls.model_validate(row, from_attributes=True)


class CouponList(Wire):
    coupons: list[CouponView]
    next_cursor: str | None
