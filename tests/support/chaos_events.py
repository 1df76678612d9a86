"""Clean books of the events of a run of chaos, by hand: two orders, a lamp, and what every consumer made of them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from chaos.books import Books
from tests.support.chaos_books import clean_books

INCARNATION = "2026-11-20T10:00:00Z"
PARTITIONS = {"ready": 1, "declined": 2, "lamp": 3}
CONSUMERS = ("event_archive", "notifications", "stock_hints")
STOCK = ((100, 100), (-99, 1), (-1, 0))
"""Changes of the lamp's stock, and what was there after each: back in stock, low, and nothing new."""


def clean_events() -> Books:
    """The clean books, with the events of three subjects; one of them the broker has twice."""
    books = clean_books()
    _write(books, "/orders", "ready", "order.placed", "inventory.reserved", "order.confirmed")
    _write(books, "/orders", "declined", "order.placed", "payment.declined", "order.rejected")
    for change, after in STOCK:
        _write(books, "/products", "lamp", "inventory.updated", quantityChange=change, newQuantity=after)
    _publish(books)
    _consume(books)
    for sequence, status in enumerate(("PLACED", "RESERVED", "REJECTED"), start=1):
        books.journal.append({"kind": "heard", "orderId": "declined", "sequence": sequence, "to": status})
    books.journal.append({"kind": "listening", "orderId": "declined"})
    books.journal.append({"kind": "left", "orderId": "declined"})
    return books


def message(books: Books, event_id: str, position: int | None = None) -> dict[str, Any]:
    """The event as the broker shows it, by default at its end."""
    event = next(event for event in books.events if event["event_id"] == event_id)
    last = max((one["position"] for one in books.stream), default=0)
    about = {name: deepcopy(event[name]) for name in ("event_id", "type", "source", "subject", "sequence", "data")}
    where = {"partition": PARTITIONS[event["subject"]], "incarnation": INCARNATION}
    return {"position": position or last + 1, **where, **about}


def _write(books: Books, source: str, subject: str, *types: str, **data: Any) -> None:
    for name in types:
        sequence = 1 + sum(event["subject"] == subject for event in books.events)
        books.events.append(
            {
                "event_id": f"{subject}-{sequence}",
                "type": f"ordersaga.{name}.v1",
                "source": source,
                "subject": subject,
                "sequence": sequence,
                "data": {"customerId": "c-1", **data},
                "published": True,
                "replay": 0,
                "parked": False,
                "parked_because": None,
            }
        )


def _publish(books: Books) -> None:
    for event in books.events:
        books.stream.append(message(books, event["event_id"]))
    books.stream.append(message(books, "ready-1"))


def _consume(books: Books) -> None:
    books.archive.extend(deepcopy(books.events))
    ends = {one["partition"]: one for one in books.stream}
    for consumer in CONSUMERS:
        for partition, end in ends.items():
            at = {"position": end["position"], "event_id": end["event_id"], "incarnation": INCARNATION}
            books.positions.append({"consumer": consumer, "partition": partition, **at})
        books.positions.append(
            {"consumer": consumer, "partition": 7, "position": 4, "event_id": None, "incarnation": INCARNATION}
        )
    books.last_sequences.append({"consumer": "stock_hints", "source": "/products", "subject": "lamp", "sequence": 3})
    for number, kind, on_hand in ((1, "back_in_stock", 100), (2, "low", 1)):
        books.hints.append({"event_id": f"lamp-{number}", "product_id": "lamp", "kind": kind, "on_hand": on_hand})
    for event_id, kind in (
        *(("ready-1", "placed"), ("ready-3", "confirmed")),
        *(("declined-1", "placed"), ("declined-2", "declined"), ("declined-3", "rejected")),
    ):
        _tell(books, event_id, kind)


def _tell(books: Books, event_id: str, kind: str) -> None:
    state, why = ("skipped", "told_already") if kind == "rejected" else ("sent", None)
    order_id = event_id.partition("-")[0]
    about = {"event_id": event_id, "order_id": order_id, "customer_id": "c-1", "kind": kind}
    books.notifications.append({**about, "state": state, "why": why})
    if state == "sent":
        books.mails.append({"order_id": order_id, "kind": kind})
