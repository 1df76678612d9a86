"""Ways to break clean books of a run of chaos, each with the rule that has to find it: all but the rules of money."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from chaos.books import Books
from chaos.wishes import Course
from tests.support.chaos_books import add, answer, cancel, event

Break = Callable[[Books], Any]


def ticket(order_id: str) -> dict[str, Any]:
    about = {"order_id": order_id, "kind": "step_keeps_failing", "step": "capture_payment", "detail": ""}
    return {**about, "subject": None}


def cause(subject: str) -> dict[str, Any]:
    """The one ticket of all orders that wait for a fault of ours to be mended."""
    return {"order_id": None, "kind": "our_fault", "step": "carrier", "detail": "", "subject": subject}


def row(rows: list[Any], **wanted: Any) -> Any:
    return next(row for row in rows if wanted.items() <= row.items())


def change(table: str, order_id: str, **values: Any) -> Break:
    """Another value in an order's first row of a table."""
    return lambda books: row(getattr(books, table), order_id=order_id).update(values)


def stock(**values: int) -> Break:
    return lambda books: books.stock[0].update(values)  # type: ignore[attr-defined]


def more(table: str, *rows: dict[str, Any]) -> Break:
    return lambda books: getattr(books, table).extend(rows)


def without(table: str, **wanted: Any) -> Break:
    return lambda books: getattr(books, table).remove(row(getattr(books, table), **wanted))


def asked(books: Books, *, waited: int = 57) -> None:
    """An order whose customer is at the bank since the third second."""
    add(books, "asked")
    books.stock[0]["reserved"] += 2  # type: ignore[index]
    row(books.timeline, order_id="asked", to_status="AWAITING_CUSTOMER")["at"] = books.read_at - timedelta(
        seconds=waited
    )


def stuck(books: Books) -> None:
    """An order that never got beyond its reservation."""
    add(books, "stuck")
    books.stock[0]["reserved"] += 2  # type: ignore[index]


def waits(books: Books, cause: str) -> None:
    """The stuck order, which waits for a fault of ours to be mended."""
    stuck(books)
    change("orders", "stuck", waits_for=cause)(books)


BROKEN: list[tuple[str, str, Break]] = [
    ("an answered order is gone", "no_order_is_lost", more("journal", answer("k", 202, "gone", "PLACED"))),
    ("a refused order is gone", "no_order_is_lost", more("journal", answer("k", 402, "gone", "REJECTED"))),
    ("a 201 names no order", "no_order_is_lost", more("journal", answer("k", 201, None, "CONFIRMED"))),
    (
        "two orders have one key",
        "no_order_is_doubled",
        change("orders", "ready", idempotency_key="key-shipped"),
    ),
    ("nobody asked for an order", "no_order_is_doubled", without("journal", kind="sent", key="key-ready")),
    (
        "a repeat was told another order",
        "no_order_is_doubled",
        more("journal", answer("key-ready", 201, "shipped", "CONFIRMED")),
    ),
    (
        "a confirmed order was rejected",
        "no_answer_is_broken",
        more("journal", answer("key-declined", 201, "declined", "CONFIRMED")),
    ),
    (
        "a refused order was carried on",
        "no_answer_is_broken",
        more("journal", answer("key-ready", 402, "ready", "REJECTED")),
    ),
    (
        "an accepted cancel was forgotten",
        "no_decision_on_a_cancel_is_broken",
        more("journal", cancel("delivered", 202, "accepted")),
    ),
    (
        "a refused cancel was done",
        "no_decision_on_a_cancel_is_broken",
        more("journal", cancel("voided", 409, None, "already_shipped")),
    ),
    ("more is reserved than there is", "nothing_is_oversold", stock(on_hand=1)),
    ("less than nothing is reserved", "nothing_is_oversold", stock(reserved=-1)),
    ("a piece is missing", "stock_is_what_was_there_less_what_left", stock(on_hand=95)),
    ("a piece came from nowhere", "stock_is_what_was_there_less_what_left", stock(on_hand=97)),
    ("a piece stays reserved", "what_is_reserved_is_held_by_orders", stock(reserved=3)),
    (
        "a canceled order still holds",
        "reservations_follow_their_orders",
        change("reservations", "voided", state="held"),
    ),
    (
        "what was delivered is still reserved",
        "reservations_follow_their_orders",
        change("reservations", "delivered", state="held"),
    ),
    (
        "what goes out is not reserved",
        "reservations_follow_their_orders",
        change("reservations", "ready", state="released"),
    ),
    (
        "a dropped line is still held",
        "reservations_follow_their_orders",
        change("order_lines", "ready", dropped=True),
    ),
    (
        "one piece of two is reserved",
        "reservations_follow_their_orders",
        change("reservations", "ready", quantity=1),
    ),
    (
        "a canceled order has a label",
        "labels_follow_their_orders",
        more("labels", {"reference": "voided", "kind": "label_bought"}),
    ),
    (
        "a label was bought twice and one voided later",
        "labels_follow_their_orders",
        more(
            "labels", {"reference": "ready", "kind": "label_bought"}, {"reference": "ready", "kind": "label_voided"}
        ),
    ),
    ("what goes out has no label", "labels_follow_their_orders", without("labels", reference="ready")),
    (
        "a label of no order",
        "labels_follow_their_orders",
        more("labels", {"reference": "nobody", "kind": "label_bought"}),
    ),
    (
        "nothing was ever scanned",
        "parcels_are_where_the_carrier_says",
        without("labels", reference="shipped", kind="scanned"),
    ),
    (
        "nothing was ever delivered",
        "parcels_are_where_the_carrier_says",
        without("labels", reference="delivered", kind="delivered"),
    ),
    (
        "a canceled order's parcel is on its way",
        "parcels_are_where_the_carrier_says",
        more("labels", {"reference": "refunded", "kind": "scanned"}),
    ),
    ("a row is missing", "timelines_have_no_gaps", without("timeline", order_id="ready", sequence=2)),
    (
        "a row begins elsewhere",
        "timelines_have_no_gaps",
        lambda books: row(books.timeline, order_id="ready", to_status="CONFIRMED").update(from_status="PLACED"),
    ),
    ("the last row is another state", "timelines_have_no_gaps", change("orders", "ready", status="SHIPPED")),
    ("an event is missing", "outbox_has_no_gaps", without("outbox", subject="ready")),
    ("a stock event is missing", "outbox_has_no_gaps", without("outbox", subject="lamp", sequence=1)),
    ("an event is double", "outbox_has_no_gaps", more("outbox", event("/orders", "ready", 1))),
    ("an event of nothing", "outbox_has_no_gaps", more("outbox", event("/orders", "nobody", 1))),
    ("an order is stuck", "every_order_has_settled", stuck),
    (
        "a scan was missed",
        "every_order_has_settled",
        more("labels", {"reference": "ready", "kind": "scanned"}),
    ),
    (
        "a delivery was missed",
        "every_order_has_settled",
        more("labels", {"reference": "shipped", "kind": "delivered"}),
    ),
    (
        "a webhook was left",
        "every_webhook_is_followed_up",
        more("inbox", {"event_id": "evt", "source": "stripe", "type": "t", "last_error": "E"}),
    ),
    ("nobody gives a customer up", "every_order_has_settled", lambda books: asked(books, waited=400)),
    (
        "a customer is waited for without an end",
        "customers_are_waited_for_as_long_as_agreed",
        lambda books: asked(books, waited=400),
    ),
    (
        "a customer was given up too soon",
        "customers_are_waited_for_as_long_as_agreed",
        lambda books: row(books.timeline, order_id="abandoned", to_status="REJECTED").update(
            at=datetime.fromtimestamp(20, UTC)
        ),
    ),
    (
        "a customer who never paid gets a parcel",
        "who_never_comes_back_gets_nothing",
        lambda books: row(books.journal, key="key-ready", kind="sent").update(course=Course.ABANDONS),
    ),
    (
        "a cause has a ticket, and nobody waits for it",
        "nobody_is_called_for_nothing",
        more("tickets", cause("carrier.buy 402")),
    ),
    (
        "an order waits for a cause that has no ticket",
        "every_order_has_settled",
        lambda books: waits(books, "carrier.buy 402"),
    ),
]
"""What is wrong, the rule, and how to get there."""
