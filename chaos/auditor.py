"""Holds the books of a run against each other. It knows the service by its tables alone, and imports none of it.

Each rule is a pure function from the books to what it found wrong; `RULES` is all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import NamedTuple

from chaos.books import AWAITING, OUR_FAULT, Books, Row, by
from chaos.wishes import Course

FINAL = frozenset(["DELIVERED", "CANCELED", "REJECTED"])
WITH_CARRIER = frozenset(["READY_TO_SHIP", "SHIPPED"])  # waiting for the parcel's next scan
PAID = WITH_CARRIER | {"DELIVERED"}
LEFT = frozenset(["SHIPPED", "DELIVERED"])
UNDONE = frozenset(["CANCELED", "REJECTED"])
ABANDONED = "abandoned"  # why an order was rejected whose customer never came back
CUSTOMER_PATIENCE = timedelta(seconds=30)
"""How long the service waits for a customer in these runs: `chaos/circumstances.py` tells it so."""
PATIENCE_MARGIN = timedelta(seconds=180)
"""How much longer an order may be seen waiting: no outage of these runs lasts longer."""
LIVE_LABEL = {"label_bought": 1, "label_voided": -1, "label_not_billed": -1}


class Violation(NamedTuple):
    rule: str
    subject: str  # mostly an order's id
    detail: str


Finding = tuple[str, str]  # subject, detail
Rule = Callable[[Books], Iterator[Finding]]


# what the client was told


def no_order_is_lost(books: Books) -> Iterator[Finding]:
    """Whatever an answer spoke of, exists: each 2xx, and each refusal that names an order."""
    for answer in _answers(books):
        if answer["orderId"] is None:
            if 200 <= answer["status"] < 300:
                yield answer["key"], f"a {answer['status']} without an order"
        elif answer["orderId"] not in books.statuses:
            yield answer["orderId"], f"was answered {answer['status']} and is not in the database"


def no_order_is_doubled(books: Books) -> Iterator[Finding]:
    """One order per Idempotency-Key, whatever was repeated; and none that nobody asked for."""
    asked = {entry["key"] for entry in books.journal if entry["kind"] == "sent"}
    for key, orders in by(books.orders, "idempotency_key").items():
        if len(orders) > 1:
            yield key, f"{len(orders)} orders"
        if key not in asked:
            yield orders[0]["order_id"], f"nobody asked for it: key {key}"
    for key, answers in by(_answers(books), "key").items():
        if len(named := {answer["orderId"] for answer in answers} - {None}) > 1:
            yield key, f"the answers name the orders {sorted(named)}"


def no_answer_is_broken(books: Books) -> Iterator[Finding]:
    """A confirmed order is not rejected later, a refused one not carried on."""
    for answer in _answers(books):
        status = books.statuses.get(answer["orderId"])
        if status is None:
            continue
        if answer["status"] == 201 and status == "REJECTED":
            yield answer["orderId"], "was confirmed and then rejected"
        if answer["status"] in (402, 409) and status not in (answer["orderStatus"], "CANCELED"):
            yield answer["orderId"], f"was refused ({answer['code']}), and is {status}"


def nothing_is_stored_of_what_was_refused(books: Books) -> Iterator[Finding]:
    """For runs in which every order is sent once: 503 `overloaded` that names no order says that there is none."""
    stored = {order["idempotency_key"] for order in books.orders}
    for answer in _answers(books):
        if answer["code"] == "overloaded" and answer["orderId"] is None and answer["key"] in stored:
            yield answer["key"], "was refused for overload, and there is an order"


def no_decision_on_a_cancel_is_broken(books: Books) -> Iterator[Finding]:
    """Accepted means canceled, refused means not canceled."""
    for cancel in (entry for entry in books.journal if entry["kind"] == "cancel"):
        status = books.statuses.get(cancel["orderId"])
        if cancel["decision"] in ("accepted", "joined") and status not in ("CANCELED", "CANCELING"):
            yield cancel["orderId"], f"the cancel was accepted, and it is {status}"
        if cancel["status"] == 409 and status in ("CANCELED", "CANCELING"):
            yield cancel["orderId"], f"the cancel was refused ({cancel['code']}), and it is {status}"


def _answers(books: Books) -> Iterable[Row]:
    return (entry for entry in books.journal if entry["kind"] == "answer")


# stock


def nothing_is_oversold(books: Books) -> Iterator[Finding]:
    for row in books.stock:
        if not 0 <= row["reserved"] <= row["on_hand"]:
            yield row["product_id"], f"{row['reserved']} reserved of {row['on_hand']}"


def stock_is_what_was_there_less_what_left(books: Books) -> Iterator[Finding]:
    began = {entry["productId"]: entry["onHand"] for entry in books.journal if entry["kind"] == "product"}
    shipped = _pieces(books, "shipped")
    on_hand = {row["product_id"]: row["on_hand"] for row in books.stock}
    for product, pieces in began.items():
        if on_hand.get(product) != pieces - shipped.get(product, 0):
            yield product, f"{on_hand.get(product)} on hand, not {pieces} - {shipped.get(product, 0)}"


def what_is_reserved_is_held_by_orders(books: Books) -> Iterator[Finding]:
    held = _pieces(books, "held")
    for row in books.stock:
        if row["reserved"] != held.get(row["product_id"], 0):
            yield row["product_id"], f"{row['reserved']} reserved, {held.get(row['product_id'], 0)} held by orders"


def reservations_follow_their_orders(books: Books) -> Iterator[Finding]:
    """Held until the first scan, shipped from then on, given back when undone; each for the line's quantity."""
    reserved = {(row["order_id"], row["product_id"]): row for row in books.reservations}
    for line in books.order_lines:
        status, row = books.statuses[line["order_id"]], reserved.get((line["order_id"], line["product_id"]))
        state = row["state"] if row else None
        wanted = _wanted_states(status, dropped=line["dropped"])
        if wanted is not None and state not in wanted:
            yield line["order_id"], f"{line['product_id']} is {state} though the order is {status}"
        if row is not None and row["quantity"] != line["quantity"]:
            yield line["order_id"], f"{row['quantity']} of {line['product_id']} reserved, not {line['quantity']}"


def _wanted_states(status: str, *, dropped: bool) -> frozenset[str | None] | None:
    if status in UNDONE or (dropped and status in PAID):
        return frozenset([None, "released"])
    if status in LEFT:
        return frozenset(["shipped"])
    return frozenset(["held"]) if status in ("CONFIRMED", "READY_TO_SHIP") and not dropped else None


def _pieces(books: Books, state: str) -> Mapping[str, int]:
    rows = [row for row in books.reservations if row["state"] == state]
    return {product: sum(row["quantity"] for row in group) for product, group in by(rows, "product_id").items()}


# parcels


def labels_follow_their_orders(books: Books) -> Iterator[Finding]:
    """One live label for what goes out, none for what was undone, never two."""
    entries = by(books.labels, "reference")
    for order_id, status in books.statuses.items():
        live = 0
        for entry in entries.get(order_id, []):
            live += LIVE_LABEL.get(entry["kind"], 0)
            if live > 1:
                yield order_id, "has two live labels"
        if status in UNDONE and live:
            yield order_id, f"is {status} and has a live label"
        if status in PAID and live != 1:
            yield order_id, f"is {status} and has {live} live labels"
    for reference in entries.keys() - books.statuses.keys():
        yield str(reference), "has a label and is no order"


def parcels_are_where_the_carrier_says(books: Books) -> Iterator[Finding]:
    scanned, delivered = (
        {entry["reference"] for entry in books.labels if entry["kind"] == kind} for kind in ("scanned", "delivered")
    )
    for order_id, status in books.statuses.items():
        if status in LEFT and order_id not in scanned | delivered:
            yield order_id, f"is {status}, and the carrier never scanned it"
        if status == "DELIVERED" and order_id not in delivered:
            yield order_id, "is DELIVERED, and the carrier never delivered it"
        if status in UNDONE and order_id in scanned | delivered and order_id not in books.attended:
            yield order_id, f"is {status}, its parcel is on its way, and nobody looks after it"


# what is told


def timelines_have_no_gaps(books: Books) -> Iterator[Finding]:
    """1, 2, 3 ..., each from where the one before led, the order's status the last one's."""
    rows = by(books.timeline, "order_id")
    for order in books.orders:
        own = sorted(rows.get(order["order_id"], []), key=lambda row: int(row["sequence"]))
        if [row["sequence"] for row in own] != list(range(1, order["version"] + 1)):
            yield order["order_id"], f"timeline {[row['sequence'] for row in own]}, version {order['version']}"
        if any(row["from_status"] != before["to_status"] for before, row in pairwise(own)):
            yield order["order_id"], "a row of the timeline does not begin where the one before ended"
        if not own or own[-1]["to_status"] != order["status"]:
            yield order["order_id"], f"is {order['status']}, its timeline is not"


def outbox_has_no_gaps(books: Books) -> Iterator[Finding]:
    """Per subject 1, 2, 3 ..., as far as the subject itself has counted."""
    sequences = {
        subject: sorted(row["sequence"] for row in rows)
        for subject, rows in by(books.outbox, "source", "subject").items()
    }
    counted = {("/orders", order["order_id"]): order["event_sequence"] for order in books.orders}
    counted |= {("/products", row["product_id"]): row["event_sequence"] for row in books.stock}
    counted |= {("/promotions", row["promotion_id"]): row["event_sequence"] for row in books.promotions}
    for subject, last in counted.items():
        if sequences.pop(subject, []) != list(range(1, last + 1)):
            yield subject[1], f"the outbox does not have 1 to {last} of {subject[0]}"
    for subject in sequences:
        yield subject[1], f"events of {subject[0]} for what does not exist"


# the end


def every_order_has_settled(books: Books) -> Iterator[Finding]:
    """Final, with the carrier, or attended: a person has been called."""
    for order_id in sorted(unsettled(books) - books.attended):
        yield order_id, f"is left {books.statuses[order_id]}"


def customers_are_waited_for_as_long_as_agreed(books: Books) -> Iterator[Finding]:
    """Nobody is given up before the time is over; whoever never comes back is, some time after it."""
    refusals = {order["order_id"]: order["refusal"] for order in books.orders}
    for order_id, (began, left) in books.waited_for.items():
        if refusals[order_id] == ABANDONED and left - began < CUSTOMER_PATIENCE:
            yield order_id, f"was given up after {left - began} of {CUSTOMER_PATIENCE}"
        if books.statuses[order_id] == AWAITING and order_id not in waiting_for_customer(books):
            yield order_id, f"its customer was waited for {left - began}, and has {CUSTOMER_PATIENCE}"


def who_never_comes_back_gets_nothing(books: Books) -> Iterator[Finding]:
    """An order whose customer left at the bank, and whom nobody canceled, is undone by itself."""
    left = {entry["key"] for entry in books.journal if entry["kind"] == "sent" and entry["course"] == Course.ABANDONS}
    for order in books.orders:
        if order["idempotency_key"] in left and order["status"] in PAID | {"CONFIRMED"}:
            yield order["order_id"], f"is {order['status']}, and its customer never paid"


def nobody_is_called_for_nothing(books: Books) -> Iterator[Finding]:
    """The ticket of a cause is closed by the last order that waited for it."""
    causes = {order["waits_for"] for order in books.orders}
    for ticket in books.tickets:
        if ticket["kind"] == OUR_FAULT and ticket["subject"] not in causes:
            yield str(ticket["subject"]), "has an open ticket, and no order waits for it"


def every_webhook_is_followed_up(books: Books) -> Iterator[Finding]:
    for row in books.inbox:
        yield row["event_id"], f"{row['source']}'s {row['type']} was never followed up: {row['last_error']}"


def waiting_for_customer(books: Books) -> set[str]:
    """The orders whose customers may still come back: nothing has to happen before their time is over."""
    latest = CUSTOMER_PATIENCE + PATIENCE_MARGIN
    return {
        order_id
        for order_id, (began, left) in books.waited_for.items()
        if books.statuses[order_id] == AWAITING and left - began <= latest
    }


def unsettled(books: Books) -> set[str]:
    """The orders that have to get on by themselves, be they attended or not."""
    scanned, delivered = (
        {entry["reference"] for entry in books.labels if entry["kind"] == kind} for kind in ("scanned", "delivered")
    )
    waits = {"READY_TO_SHIP": scanned | delivered, "SHIPPED": delivered}  # what the carrier has already done
    return {
        order_id
        for order_id, status in books.statuses.items()
        if status not in FINAL and not (status in waits and order_id not in waits[status])
    } - waiting_for_customer(books)


def undecided(books: Books) -> set[str]:
    """Those whose customers may still come back, too."""
    return unsettled(books) | waiting_for_customer(books)


def unfinished(books: Books) -> set[str]:
    """Those that wait for the carrier, too, but none that waits for a person."""
    return {order_id for order_id, status in books.statuses.items() if status not in FINAL} - books.called_for


def audit(books: Books, rules: Iterable[Rule]) -> list[Violation]:
    """Everything that is wrong; empty when all is right."""
    return [Violation(rule.__name__, subject, detail) for rule in rules for subject, detail in rule(books)]
