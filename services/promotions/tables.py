"""The tables of promotions: what takes something off an order, the codes for it, and who has used which.

No limit is overstepped, whatever the code does: `used <= usage_limit` is a rule of the table.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import (
    bigint_column,
    json_column,
    maybe_texts_column,
    maybe_time_column,
    time_column,
)
from domain.pricing.promotions import PromotionKind, Scope


class PromotionRow(SQLModel, table=True):
    """A promotion; `value` is parts per million of a percentage, minor units of `currency` of a fixed amount."""

    __tablename__ = "promotions"
    __table_args__ = (
        CheckConstraint("kind IN (" + ", ".join(f"'{kind}'" for kind in PromotionKind) + ")", name="kind_known"),
        CheckConstraint("scope IN (" + ", ".join(f"'{scope}'" for scope in Scope) + ")", name="scope_known"),
        CheckConstraint("value >= 0 AND min_subtotal_minor >= 0", name="not_negative"),
        CheckConstraint("kind <> 'percent' OR value <= 1000000", name="percent_of_a_whole"),
        CheckConstraint("kind <> 'buy_x_get_y' OR (buy > 0 AND get > 0)", name="pieces_positive"),
        Index("ix_promotions_automatic", "promotion_id", postgresql_where=text("automatic AND active")),
    )

    promotion_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    scope: str = Field(sa_type=Text)
    value: int = bigint_column()
    buy: int = 0
    get: int = 0
    currency: str = Field(sa_type=Text)
    product_ids: list[str] | None = maybe_texts_column()
    min_subtotal_minor: int = bigint_column()
    starts: datetime | None = maybe_time_column()
    ends: datetime | None = maybe_time_column()
    automatic: bool = False
    active: bool = True
    event_sequence: int = bigint_column()
    created_at: datetime = time_column()


class CouponRow(SQLModel, table=True):
    """A code for a promotion, in capitals; limits are None where there is none. `used` counts live redemptions."""

    __tablename__ = "coupons"
    __table_args__ = (
        CheckConstraint("used >= 0", name="used_not_negative"),
        CheckConstraint("used <= usage_limit", name="never_overused"),
        CheckConstraint("usage_limit > 0 AND per_customer > 0", name="limits_positive"),
        Index("ix_coupons_promotion_id", "promotion_id"),
    )

    code: str = Field(primary_key=True, sa_type=Text)
    promotion_id: str = Field(foreign_key="promotions.promotion_id", sa_type=Text)
    usage_limit: int | None = Field(default=None, sa_type=BigInteger)
    per_customer: int | None = Field(default=None, sa_type=BigInteger)
    used: int = bigint_column()
    active: bool = True
    created_at: datetime = time_column()


class CouponRedemption(SQLModel, table=True):
    """That an order has used a code. Written under the locks of the order and of the code's row.

    It refers to an order by its id only: orders are an area above this one.
    """

    __tablename__ = "coupon_redemptions"
    __table_args__ = (
        CheckConstraint("state IN ('held', 'released')", name="state_known"),
        Index("ix_coupon_redemptions_held", "code", "customer_id", postgresql_where=text("state = 'held'")),
    )

    order_id: str = Field(primary_key=True, sa_type=Text)
    code: str = Field(primary_key=True, foreign_key="coupons.code", sa_type=Text)
    customer_id: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    at: datetime = time_column()


class PromotionChange(SQLModel, table=True):
    """What somebody set, of a promotion or of one of its codes: the history of both, only added to."""

    __tablename__ = "promotion_changes"
    __table_args__ = (Index("ix_promotion_changes_promotion_id_id", "promotion_id", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    promotion_id: str = Field(sa_type=Text)
    code: str | None = Field(default=None, sa_type=Text)  # None for a change of the promotion itself
    at: datetime = time_column()
    by: str = Field(sa_type=Text)
    change: dict[str, Any] = json_column()
