"""Clean books of a run of chaos, by hand: one order of each outcome, and the rows of which they are made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chaos.books import Books
from chaos.wishes import Course

FORWARD = ["PLACED", "RESERVED", "CONFIRMED", "READY_TO_SHIP", "SHIPPED", "DELIVERED"]
UNDO = ["PLACED", "RESERVED", "CONFIRMED", "CANCELING", "CANCELED"]
PATHS = {
    "delivered": FORWARD,
    "shipped": FORWARD[:5],
    "ready": FORWARD[:4],
    "voided": UNDO,
    "refunded": [*FORWARD[:4], *UNDO[3:]],
    "declined": ["PLACED", "RESERVED", "REJECTED"],
    "abandoned": ["PLACED", "RESERVED", "AWAITING_CUSTOMER", "REJECTED"],
    "stuck": ["PLACED", "RESERVED"],
    "asked": ["PLACED", "RESERVED", "AWAITING_CUSTOMER"],
}
"""Each order of two lamps at 5.00; all but the last two are in clean books."""

ANSWERS: dict[str, tuple[int, str, str | None]] = {
    "declined": (402, "REJECTED", "insufficient_funds"),
    "abandoned": (202, "AWAITING_CUSTOMER", None),
    "asked": (202, "AWAITING_CUSTOMER", None),
}
COURSES = {"abandoned": Course.ABANDONS}
REFUSALS = {"declined": "insufficient_funds", "abandoned": "abandoned"}
MOMENTS = {("abandoned", "REJECTED"): 3 + 31}
"""Unix times of rows that are not written a second after the one before."""

READ_AT = 60  # Unix time
RESERVED = {"delivered": "shipped", "shipped": "shipped", "ready": "held", "stuck": "held", "asked": "held"}
EFFECTS = {
    "delivered": ["authorize", "capture"],
    "shipped": ["authorize", "capture"],
    "ready": ["authorize", "capture"],
    "voided": ["authorize", "void"],
    "refunded": ["authorize", "capture", "refund"],
    "declined": [],
    "abandoned": [],
    "stuck": [],
    "asked": [],
}
LABELS = {
    "delivered": ["label_bought", "scanned", "delivered"],
    "shipped": ["label_bought", "scanned"],
    "ready": ["label_bought"],
    "refunded": ["label_bought", "void_requested", "label_voided"],
}
STATES = {
    "voided": "voided",
    "refunded": "refunded",
    "declined": "declined",
    "abandoned": "voided",
    "stuck": "created",
    "asked": "requires_action",
}


def clean_books() -> Books:
    stock = {"product_id": "lamp", "on_hand": 96, "reserved": 2, "event_sequence": 2}
    books = Books(stock=[stock], read_at=datetime.fromtimestamp(READ_AT, UTC))
    books.journal.append({"kind": "product", "productId": "lamp", "onHand": 100})
    books.outbox.extend(event("/products", "lamp", number) for number in (1, 2))
    for name in PATHS.keys() - {"stuck", "asked"}:
        add(books, name)
    books.promotions.append({"promotion_id": "save10", "event_sequence": 1})
    books.outbox.append(event("/promotions", "save10", 1))
    books.coupons.append({"code": "SAVE10", "usage_limit": 1, "per_customer": 1, "used": 1})
    for name, state in (("delivered", "held"), ("voided", "released")):
        use_coupon(books, name, state)
    for name in ("voided", "refunded"):
        books.journal.append(cancel(name, 202, "accepted"))
    return books


def add(books: Books, name: str) -> None:
    path, captured = PATHS[name], 1000 if "capture" in EFFECTS[name] else 0
    books.orders.append(
        {
            "order_id": name,
            "idempotency_key": f"key-{name}",
            "customer_id": "alice",
            "cart_id": None,
            "status": path[-1],
            "total_minor": 1000,
            "version": len(path),
            "event_sequence": 1,
            "refusal": REFUSALS.get(name),
            "waits_for": None,
            "discount_minor": 0,
            "shipping_fee_minor": 0,
            "added_tax_minor": 0,
            "coupon_codes": None,
        }
    )
    line = {"order_id": name, "product_id": "lamp", "quantity": 2}
    price = {"unit_price_minor": 500, "discount_minor": 0, "added_tax_minor": 0}
    books.order_lines.append({**line, **price, "dropped": False})
    books.reservations.append({**line, "state": RESERVED.get(name, "released")})
    payment = {"payment_intent_id": f"pi_{name}", "order_id": name, "state": STATES.get(name, "captured")}
    refunded = 1000 if name == "refunded" else 0
    books.payments.append({**payment, "captured_minor": captured, "refunded_minor": refunded})
    for number, status in enumerate(path, start=1):
        before = path[number - 2] if number > 1 else None
        at = datetime.fromtimestamp(MOMENTS.get((name, status), number), UTC)
        moment = {"order_id": name, "sequence": number, "at": at}
        books.timeline.append({**moment, "from_status": before, "to_status": status})
    books.outbox.append(event("/orders", name, 1))
    books.money.extend(entry(name, kind) for kind in EFFECTS[name])
    books.labels.extend({"reference": name, "kind": kind} for kind in LABELS.get(name, []))
    http_status, told, code = ANSWERS.get(name, (201, "CONFIRMED", None))
    books.journal.append({"kind": "sent", "key": f"key-{name}", "course": COURSES.get(name, Course.GOOD)})
    books.journal.append(answer(f"key-{name}", http_status, name, told, code))


def use_coupon(books: Books, name: str, state: str) -> None:
    """1.00 off two lamps at 5.50, with a code."""
    order = next(row for row in books.orders if row["order_id"] == name)
    line = next(row for row in books.order_lines if row["order_id"] == name)
    assert isinstance(order, dict) and isinstance(line, dict)
    order |= {"discount_minor": 100, "coupon_codes": ["SAVE10"]}
    line |= {"unit_price_minor": 550, "discount_minor": 100}
    part = {"order_id": name, "kind": "discount", "product_id": "lamp", "amount_minor": 100, "inclusive": False}
    books.adjustments.append(part)
    books.redemptions.append({"order_id": name, "code": "SAVE10", "customer_id": "alice", "state": state})


def event(source: str, subject: str, sequence: int) -> dict[str, Any]:
    return {"source": source, "subject": subject, "sequence": sequence}


def entry(order_id: str, kind: str, amount: int = 1000, payment: str | None = None) -> dict[str, Any]:
    return {"order_id": order_id, "payment_intent": payment or f"pi_{order_id}", "kind": kind, "amount": amount}


def answer(key: str, status: int, order_id: str | None, told: str, code: str | None = None) -> dict[str, Any]:
    answered = {"kind": "answer", "key": key, "status": status, "orderId": order_id}
    return {**answered, "orderStatus": told, "code": code}


def cancel(order_id: str, status: int, decision: str | None, code: str | None = None) -> dict[str, Any]:
    return {"kind": "cancel", "orderId": order_id, "status": status, "decision": decision, "code": code}


def hand(order_id: str, act: str) -> dict[str, Any]:
    return {"kind": "hand", "orderId": order_id, "paymentIntent": f"pi_{order_id}", "act": act, "status": 200}
