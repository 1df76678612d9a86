"""What each column of each table holds: from nothing about a person to what only a key opens.

A test goes through all tables: a column that is not named here, or named twice, fails it. `docs/privacy.md` has the
table that is made of this one; an export tells the class of each field by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class DataClass(StrEnum):
    """What a column may tell of a person, and what becomes of it when they are erased."""

    NONE = "none"  # nothing about anybody
    PSEUDONYM = "pseudonym"  # an id, or what was done under it: stays, and names nobody once the rest is gone
    CONTACT = "contact"  # how to reach somebody: sealed with the customer's contact key, gone at the erasure
    ACCOUNTING = "accounting"  # names and addresses of invoices: sealed, gone when the law lets go of them
    TEXT = "text"  # what people wrote in their own words: sealed with the contact key
    SECRET = "secret"  # noqa: S105  # keys, and hashes of keys: in no export and no log


class Purpose(StrEnum):
    """What a customer's data key is for: each customer has one of each, for good."""

    CONTACT = "contact"  # destroyed when the customer is erased
    ACCOUNTING = "accounting"  # destroyed when the legal term of their last order is over


C = DataClass
Columns = Mapping[DataClass, str]


def _only(data_class: DataClass, columns: str) -> Columns:
    return {data_class: columns}


_SALE = "order_id customer_id placed_by idempotency_key fingerprint cart_id payment_method"
_SUM = "currency total_minor subtotal_minor discount_minor shipping_fee_minor added_tax_minor coupon_codes"
_STATE = "status payment_status needs_attention hold refusal waits_for version event_sequence created_at updated_at"

COLUMNS: Mapping[str, Columns] = {
    "api_keys": {
        C.PSEUDONYM: "owner created_by revoked_by",
        C.SECRET: "secret_hash",
        C.NONE: "key_id slot scopes created_at expires_at revoked_at",
    },
    "approvals": {C.PSEUDONYM: "order_id principal by second_by", C.NONE: "what at"},
    "audit": {C.PSEUDONYM: "issuer subject by about", C.NONE: "id at method route status request_id times"},
    "audit_seals": _only(C.NONE, "number last_id entries digest sealed_at"),
    "brake_pulls": {C.PSEUDONYM: "released_by", C.NONE: "id pulled_at why released_at note_id"},
    "cancel_wishes": {C.PSEUDONYM: "order_id wish_id by", C.NONE: "code at"},
    "cart_lines": {C.PSEUDONYM: "cart_id", C.NONE: "product_id line_number quantity price_seen"},
    "cart_operations": {C.PSEUDONYM: "cart_id key fingerprint order_id", C.NONE: "at"},
    "carts": {
        C.PSEUDONYM: "cart_id customer_id order_id merged_into",
        C.NONE: "currency coupon state version attempt event_sequence created_at touched_at abandoned_at",
    },
    "consumer_positions": _only(
        C.NONE, "consumer partition version incarnation position event_id replay lag behind_since seen_at"
    ),
    "consumer_sequences": {C.PSEUDONYM: "subject", C.NONE: "consumer source sequence seen_at"},
    "coupon_redemptions": {C.PSEUDONYM: "order_id customer_id", C.NONE: "code state at"},
    "coupons": _only(C.NONE, "code promotion_id usage_limit per_customer used active created_at"),
    "cursors": _only(C.NONE, "name at value"),
    "customer_keys": {
        C.PSEUDONYM: "customer_id",
        C.SECRET: "wrapped",
        C.NONE: "purpose key_id created_at due_at destroyed_at",
    },
    "customers": {
        C.PSEUDONYM: "customer_id stripe_customer_id",
        C.ACCOUNTING: "name name_sealed",
        C.CONTACT: "email email_sealed email_index",
        C.NONE: "created_at locale erased_at",
    },
    "dead_letters": {
        C.PSEUDONYM: "subject body resolved_by",
        C.NONE: "id consumer partition event_id type source sequence reason detail attempts parked_at retry_at "
        "resolved_at resolution",
    },
    "ends_by_our_fault": {C.PSEUDONYM: "order_id", C.NONE: "turn at step code pull_id"},
    "event_archive": {
        C.PSEUDONYM: "subject data",
        C.NONE: "time event_id source sequence partition type traceparent archived_at",
    },
    "notification_wishes": {C.PSEUDONYM: "customer_id", C.NONE: "kind wanted"},
    "notifications": {
        C.PSEUDONYM: "order_id customer_id event",
        C.NONE: "id event_id kind state why attempts due_at created_at ended_at",
    },
    "order_adjustments": {
        C.PSEUDONYM: "order_id",
        C.NONE: "number kind product_id source name code amount_minor rate_ppm inclusive",
    },
    "order_lines": {
        C.PSEUDONYM: "order_id",
        C.NONE: "product_id line_number name quantity unit_price_minor dropped discount_minor tax_minor tax_rate_ppm "
        "tax_inclusive ordered_at",
    },
    "order_steps": {C.PSEUDONYM: "order_id result", C.NONE: "step state updated_at"},
    "order_transitions": _only(C.NONE, "from_status to_status"),
    "orders": {
        C.PSEUDONYM: _SALE,
        C.ACCOUNTING: "shipping_address address_sealed",
        C.TEXT: "metadata",
        C.CONTACT: "contact_sealed",
        C.NONE: f"{_SUM} {_STATE} shipping_option shipping_service ship_not_before",
    },
    "outbox": {
        C.PSEUDONYM: "subject data",
        C.NONE: "id event_id type source sequence time traceparent published_at parked_at parked_because replay",
    },
    "payment_attempts": {
        C.PSEUDONYM: "order_id params look",
        C.NONE: "operation attempt round first_sent_at refused_at",
    },
    "payments": {
        C.PSEUDONYM: "payment_intent_id order_id",
        C.NONE: "attempt state amount_minor captured_minor refunded_minor currency capture_before updated_at",
    },
    "products": _only(C.NONE, "product_id name price_minor currency tax_category created_at"),
    "promotion_changes": {C.PSEUDONYM: "by", C.NONE: "id promotion_id code at change"},
    "promotions": _only(
        C.NONE,
        "promotion_id name kind scope value buy get currency product_ids min_subtotal_minor starts ends automatic "
        "active event_sequence created_at",
    ),
    "rate_limits": {C.PSEUDONYM: "key", C.NONE: "kind full_at taken"},
    "refund_lines": {C.PSEUDONYM: "order_id key", C.NONE: "product_id quantity amount_minor"},
    "refunds": {
        C.PSEUDONYM: "order_id key by stripe_refund_id payment_intent_id",
        C.TEXT: "reason",
        C.NONE: "amount_minor reason_id state detail created_at updated_at",
    },
    "reservations": {C.PSEUDONYM: "order_id", C.NONE: "product_id quantity state"},
    "shipments": {
        C.PSEUDONYM: "order_id shipment_id tracking_number",
        C.NONE: "state buy_sent_at buy_deadline void_requested_at refused_at carrier parcel_status updated_at",
    },
    "shipping_rates": _only(C.NONE, "option country currency valid_from fee_minor free_from_minor service days"),
    "stock": _only(C.NONE, "product_id on_hand reserved event_sequence"),
    "stock_hints": _only(C.NONE, "event_id product_id kind on_hand at"),
    "tax_rates": _only(C.NONE, "country region category valid_from rate_ppm inclusive"),
    "texts": {C.PSEUDONYM: "order_id customer_id", C.TEXT: "text text_sealed", C.NONE: "id kind created_at"},
    "ticket_actions": {
        C.PSEUDONYM: "by",
        C.TEXT: "evidence",
        C.NONE: "id ticket_id at action note note_id evidence_id",
    },
    "tickets": {
        C.PSEUDONYM: "order_id subject seen resolved_by",
        C.NONE: "id kind step detail opened_at resolved_at",
    },
    "timeline": {
        C.PSEUDONYM: "order_id by",
        C.NONE: "sequence previous at from_status to_status what text_ids",
    },
    "webhook_deliveries": {
        C.PSEUDONYM: "subject body",
        C.NONE: "id endpoint_id event_id kind type source sequence state in_order attempts tries due_at claim "
        "first_tried_at created_at ended_at",
    },
    "webhook_endpoints": _only(
        C.NONE,
        "endpoint_id url events description state disabled_because failures failed_at resting_until created_at "
        "updated_at deleted_at",
    ),
    "webhook_inbox": {
        C.PSEUDONYM: "object_id",
        C.NONE: "source event_id type received_at attempted_at processed_at says last_error",
    },
    "webhook_secrets": {C.SECRET: "sealed", C.NONE: "id endpoint_id created_at expires_at"},
}
"""By table the names of its columns, as the database has them, by class."""

MEANINGS: Mapping[DataClass, str] = {
    C.NONE: "nothing about anybody",
    C.PSEUDONYM: "an id, or what was done under it; stays, and names nobody once the rest is gone",
    C.CONTACT: "how to reach somebody; sealed with the customer's contact key, gone at the erasure",
    C.ACCOUNTING: "name and address of an invoice; sealed with the accounting key, gone when its legal term is over",
    C.TEXT: "people's own words; sealed with the contact key",
    C.SECRET: "a key, or the hash of one; in no export",
}


def classes_of(table: str) -> dict[str, DataClass]:
    """The class of each column of a table. Raises KeyError for a table that declares none."""
    return {name: data_class for data_class, names in COLUMNS[table].items() for name in names.split()}


def markdown_table() -> str:
    """Table by class, for `docs/privacy.md`; columns that tell nothing are left out."""
    rows = ["| table | " + " | ".join(one for one in C if one is not C.NONE) + " |"]
    rows.append("|---|" + "---|" * (len(C) - 1))
    for table, columns in COLUMNS.items():
        if set(columns) == {C.NONE}:
            continue
        cells = (", ".join(f"`{name}`" for name in columns.get(one, "").split()) for one in C if one is not C.NONE)
        rows.append(f"| {table} | {' | '.join(cells)} |")
    nothing = ", ".join(table for table, columns in COLUMNS.items() if set(columns) == {C.NONE})
    return "\n".join([*rows, "", f"Nothing about anybody is in: {nothing}."])
