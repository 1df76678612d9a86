"""Promotions and coupons as a quote sees them: read with the catalogue, judged by the domain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.rows import parsed
from domain.pricing.lines import PricedLine
from domain.pricing.promotions import Promotion, PromotionKind, Scope, Unfit

_COUPONS = text("""
    SELECT json_agg(json_build_object(
               'coupon', coupons, 'promotion', promotions,
               'held', (SELECT count(*) FROM coupon_redemptions AS held
                         WHERE held.code = coupons.code AND held.customer_id = :customer_id AND held.state = 'held')
           ) ORDER BY code)::text
      FROM coupons JOIN promotions USING (promotion_id) WHERE code = ANY (:codes)
""")


@dataclass(frozen=True)
class Coupon:
    """A code as it stands; `held` counts the customer's own live redemptions of it."""

    code: str
    promotion: Promotion
    usage_limit: int | None
    per_customer: int | None
    used: int
    held: int
    active: bool

    def unfit(self, lines: Sequence[PricedLine], currency: str, at: datetime) -> Unfit | None:
        """Why it does not apply; None where it does. Limits are taken later, under a lock: here they are a hint."""
        if not self.active:
            return Unfit("ended", f"the coupon {self.code} is over")
        if self.usage_limit is not None and self.used >= self.usage_limit:
            return exhausted(self.code)
        if self.per_customer is not None and self.held >= self.per_customer:
            return used_up(self.code)
        return self.promotion.unfit(lines, currency, at)


def unknown(code: str) -> Unfit:
    """Of a code that there is not."""
    return Unfit("unknown", f"there is no coupon {code}")


def exhausted(code: str) -> Unfit:
    """Of a code that has reached its limit in all."""
    return Unfit("exhausted", f"the coupon {code} has been used as often as it may be")


def used_up(code: str) -> Unfit:
    """Of a code that this customer may not use once more."""
    return Unfit("used_up", f"you have used the coupon {code} as often as one customer may")


async def read_coupons(
    connection: AsyncConnection, codes: Collection[str], customer_id: str | None
) -> dict[str, Coupon]:
    """The coupons of these codes that exist; of a guest nothing is counted yet."""
    asked = {"codes": list(codes), "customer_id": customer_id}
    found = (await connection.execute(_COUPONS, asked)).scalar_one()
    return {one["coupon"]["code"]: _coupon(one) for one in parsed(found or "[]")}


def _coupon(found: Mapping[str, Any]) -> Coupon:
    row = found["coupon"]
    return Coupon(
        row["code"],
        promotion_of(found["promotion"], row["code"]),
        row["usage_limit"],
        row["per_customer"],
        row["used"],
        found["held"],
        row["active"],
    )


def promotion_of(row: Mapping[str, Any], coupon: str | None = None) -> Promotion:
    """A promotion from the JSON of its row."""
    return Promotion(
        promotion_id=row["promotion_id"],
        name=row["name"],
        kind=PromotionKind(row["kind"]),
        currency=row["currency"],
        scope=Scope(row["scope"]),
        value=row["value"],
        buy=row["buy"],
        get=row["get"],
        product_ids=frozenset(row["product_ids"] or ()),
        min_subtotal=row["min_subtotal_minor"],
        starts=_time(row["starts"]),
        ends=_time(row["ends"]),
        active=row["active"],
        coupon=coupon,
    )


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
