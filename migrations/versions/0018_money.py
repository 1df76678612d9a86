"""The parts of a total: discounts, shipping fee and tax, frozen with the order; promotions, coupons and rates

Revision ID: 0018
Revises: 0016
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.online import refuse_to_lose

revision: str = "0018"
down_revision: str | Sequence[str] | None = "0016"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TEXTS = postgresql.ARRAY(sa.Text())

# Orders from before keep their totals: without a subtotal the check asks nothing of them.
COLUMNS = {
    "orders": (
        "subtotal_minor BIGINT",
        "discount_minor BIGINT DEFAULT 0 NOT NULL",
        "shipping_fee_minor BIGINT DEFAULT 0 NOT NULL",
        "added_tax_minor BIGINT DEFAULT 0 NOT NULL",
        "coupon_codes TEXT[]",
        "shipping_option TEXT",
        "shipping_service TEXT",
    ),
    "order_lines": (
        "discount_minor BIGINT DEFAULT 0 NOT NULL",
        "tax_minor BIGINT DEFAULT 0 NOT NULL",
        "tax_rate_ppm BIGINT",
        "tax_inclusive BOOLEAN DEFAULT false NOT NULL",
    ),
    "products": ("tax_category TEXT DEFAULT 'standard' NOT NULL",),
}
CHECKS = {
    "orders": {
        "total_is_its_parts": "total_minor = subtotal_minor - discount_minor + shipping_fee_minor + added_tax_minor",
        "parts_not_negative": "discount_minor >= 0 AND shipping_fee_minor >= 0 AND added_tax_minor >= 0",
    },
    "order_lines": {
        "discount_within_price": "discount_minor BETWEEN 0 AND quantity * unit_price_minor",
        "tax_not_negative": "tax_minor >= 0",
    },
}

GROWING = ("order_adjustments", "coupon_redemptions")
EARLY = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05"
"""And the statistics likewise: as the tables of orders have it (0013)."""


def upgrade() -> None:
    with op.get_context().autocommit_block():  # each table is locked for itself
        for table, columns in COLUMNS.items():
            added = ", ".join(f"ADD COLUMN IF NOT EXISTS {column}" for column in columns)
            op.execute(f"ALTER TABLE {table} {added}")
        for table, checks in CHECKS.items():
            _add_checks(table, checks)
    _adjustments()
    _promotions()
    _coupons()
    _rates()
    _refund_lines()
    for table in GROWING:
        op.execute(f"ALTER TABLE {table} SET ({EARLY}, autovacuum_analyze_scale_factor = 0.02)")


def _add_checks(table: str, checks: dict[str, str]) -> None:
    """New rows are checked at once; those that are there, when they are validated, which lets others read and write.

    https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
    """
    for name, condition in checks.items():
        constraint = f"ck_{table}_{name}"
        op.execute(
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {constraint},"
            f" ADD CONSTRAINT {constraint} CHECK ({condition}) NOT VALID"
        )
        op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {constraint}")


def _adjustments() -> None:
    op.create_table(
        "order_adjustments",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("rate_ppm", sa.BigInteger(), nullable=True),
        sa.Column("inclusive", sa.Boolean(), nullable=False),
        sa.CheckConstraint("kind IN ('discount', 'fee', 'tax')", name=op.f("ck_order_adjustments_kind_known")),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_order_adjustments_amount_not_negative")),
        sa.CheckConstraint(
            "(kind = 'tax') = (rate_ppm IS NOT NULL)", name=op.f("ck_order_adjustments_only_tax_has_a_rate")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.order_id"], name=op.f("fk_order_adjustments_order_id")),
        sa.ForeignKeyConstraint(
            ["order_id", "product_id"],
            ["order_lines.order_id", "order_lines.product_id"],
            name=op.f("fk_order_adjustments_line"),
        ),
        sa.PrimaryKeyConstraint("order_id", "number", name=op.f("pk_order_adjustments")),
    )


def _promotions() -> None:
    op.create_table(
        "promotions",
        sa.Column("promotion_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("buy", sa.Integer(), nullable=False),
        sa.Column("get", sa.Integer(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("product_ids", TEXTS, nullable=True),
        sa.Column("min_subtotal_minor", sa.BigInteger(), nullable=False),
        sa.Column("starts", TIME, nullable=True),
        sa.Column("ends", TIME, nullable=True),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("event_sequence", sa.BigInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint(
            "kind IN ('percent', 'fixed', 'buy_x_get_y', 'free_shipping')", name=op.f("ck_promotions_kind_known")
        ),
        sa.CheckConstraint("scope IN ('order', 'products')", name=op.f("ck_promotions_scope_known")),
        sa.CheckConstraint("value >= 0 AND min_subtotal_minor >= 0", name=op.f("ck_promotions_not_negative")),
        sa.CheckConstraint("kind <> 'percent' OR value <= 1000000", name=op.f("ck_promotions_percent_of_a_whole")),
        sa.CheckConstraint(
            "kind <> 'buy_x_get_y' OR (buy > 0 AND get > 0)", name=op.f("ck_promotions_pieces_positive")
        ),
        sa.PrimaryKeyConstraint("promotion_id", name=op.f("pk_promotions")),
    )
    op.create_index(
        "ix_promotions_automatic", "promotions", ["promotion_id"], postgresql_where=sa.text("automatic AND active")
    )
    op.create_table(
        "promotion_changes",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("promotion_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("at", TIME, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("change", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotion_changes")),
    )
    op.create_index("ix_promotion_changes_promotion_id_id", "promotion_changes", ["promotion_id", "id"])


def _coupons() -> None:
    op.create_table(
        "coupons",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("promotion_id", sa.Text(), nullable=False),
        sa.Column("usage_limit", sa.BigInteger(), nullable=True),
        sa.Column("per_customer", sa.BigInteger(), nullable=True),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_coupons_used_not_negative")),
        sa.CheckConstraint("used <= usage_limit", name=op.f("ck_coupons_never_overused")),
        sa.CheckConstraint("usage_limit > 0 AND per_customer > 0", name=op.f("ck_coupons_limits_positive")),
        sa.ForeignKeyConstraint(["promotion_id"], ["promotions.promotion_id"], name=op.f("fk_coupons_promotion_id")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_coupons")),
    )
    op.create_index("ix_coupons_promotion_id", "coupons", ["promotion_id"])
    op.create_table(
        "coupon_redemptions",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.CheckConstraint("state IN ('held', 'released')", name=op.f("ck_coupon_redemptions_state_known")),
        sa.ForeignKeyConstraint(["code"], ["coupons.code"], name=op.f("fk_coupon_redemptions_code")),
        sa.PrimaryKeyConstraint("order_id", "code", name=op.f("pk_coupon_redemptions")),
    )
    op.create_index(
        "ix_coupon_redemptions_held",
        "coupon_redemptions",
        ["code", "customer_id"],
        postgresql_where=sa.text("state = 'held'"),
    )


def _rates() -> None:
    op.create_table(
        "tax_rates",
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("rate_ppm", sa.BigInteger(), nullable=False),
        sa.Column("inclusive", sa.Boolean(), nullable=False),
        sa.CheckConstraint("rate_ppm BETWEEN 0 AND 1000000", name=op.f("ck_tax_rates_rate_of_a_whole")),
        sa.PrimaryKeyConstraint("country", "region", "category", "valid_from", name=op.f("pk_tax_rates")),
    )
    op.create_table(
        "shipping_rates",
        sa.Column("option", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("fee_minor", sa.BigInteger(), nullable=True),
        sa.Column("free_from_minor", sa.BigInteger(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("days", sa.Integer(), nullable=True),
        sa.CheckConstraint("fee_minor >= 0 AND free_from_minor >= 0", name=op.f("ck_shipping_rates_not_negative")),
        sa.PrimaryKeyConstraint("option", "country", "currency", "valid_from", name=op.f("pk_shipping_rates")),
    )


def _refund_lines() -> None:
    op.create_table(
        "refund_lines",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_refund_lines_quantity_positive")),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_refund_lines_amount_not_negative")),
        sa.ForeignKeyConstraint(
            ["order_id", "key"], ["refunds.order_id", "refunds.key"], name=op.f("fk_refund_lines_refund")
        ),
        sa.PrimaryKeyConstraint("order_id", "key", "product_id", name=op.f("pk_refund_lines")),
    )


def downgrade() -> None:
    """What a total was made of, and which codes are used up, stays: no other row has it."""
    for table in ("order_adjustments", "coupon_redemptions", "refund_lines"):
        refuse_to_lose(table)
    refuse_to_lose("orders", "total_minor <> subtotal_minor OR shipping_service IS NOT NULL")
    for table in ("refund_lines", "coupon_redemptions", "coupons", "promotion_changes", "promotions"):
        op.drop_table(table)
    for table in ("order_adjustments", "tax_rates", "shipping_rates"):
        op.drop_table(table)
    for table, columns in COLUMNS.items():
        for column in columns:
            op.drop_column(table, column.partition(" ")[0])
