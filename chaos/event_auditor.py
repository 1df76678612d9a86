"""The auditor's rules of events: what was written, against what the broker and every consumer hold of it.

Like the others they know the service by its tables and by what its documents say, and import none of it.
"""

from collections import Counter
from collections.abc import Iterator

from chaos.auditor import FINAL, Finding, Rule
from chaos.books import Books, Row, by

STOCK_LOW = 1
"""So many pieces on hand are few in these runs: `chaos/circumstances.py` tells the service so."""

PARKED = "event_parked"  # the kind of the ticket of an event that the broker refused
STOCK_CHANGED = "ordersaga.inventory.updated.v1"
TOLD = {
    "ordersaga.order.placed.v1": "placed",
    "ordersaga.order.confirmed.v1": "confirmed",
    "ordersaga.payment.action_required.v1": "action_needed",
    "ordersaga.payment.declined.v1": "declined",
    "ordersaga.order.rejected.v1": "rejected",
    "ordersaga.order.shipped.v1": "shipped",
    "ordersaga.order.delivered.v1": "delivered",
    "ordersaga.order.canceled.v1": "canceled",
    "ordersaga.payment.refunded.v1": "refunded",
}
"""Which events their customers are told of, and as what."""

UNSENT = frozenset(["told_already"])
"""Why a message need not be sent. In these runs nobody is erased, everybody wants mail, and nothing is old."""


# the broker


def every_event_is_published(books: Books) -> Iterator[Finding]:
    """Or was refused for what it is, with a ticket; then those behind it wait."""
    called = {ticket["subject"] for ticket in books.tickets if ticket["kind"] == PARKED}
    held = {_about(row) for row in books.events if row["parked_because"] and row["event_id"] in called}
    for row in books.events:
        if not row["published"] and not (row["parked"] and _about(row) in held):
            state = "parked, and has no ticket" if row["parked"] else "not published"
            yield row["subject"], f"event {row['sequence']} is {state}"


def the_broker_has_every_event(books: Books) -> Iterator[Finding]:
    """At least once, with what was written; and nothing that was not written."""
    written = {row["event_id"]: row for row in books.events}
    for message in books.stream:
        row = written.get(message["event_id"])
        if row is None:
            yield message["subject"], f"the broker has an event {message['event_id']} that nobody wrote"
        elif _content(row) != _content(message):
            yield row["subject"], f"event {row['sequence']} is another at the broker: {_content(message)}"
    there = {message["event_id"] for message in books.stream}
    for row in books.events:
        if row["published"] and row["event_id"] not in there:
            yield row["subject"], f"the broker does not have event {row['sequence']}, a {row['type']}"


def events_came_to_the_broker_in_order(books: Books) -> Iterator[Finding]:
    """Per subject, as far as they came for the first time: not the repeats, nor what was replayed after a loss."""
    last = dict[tuple[str, str], int]()
    known = {row["event_id"] for row in books.events if row["replay"]}
    for message in books.stream:
        if message["event_id"] in known:
            continue
        known.add(message["event_id"])
        before = last.get(_about(message), 0)
        if message["sequence"] < before:
            yield message["subject"], f"event {message['sequence']} came to the broker after {before}"
        last[_about(message)] = max(before, message["sequence"])


def a_subject_has_one_partition(books: Books) -> Iterator[Finding]:
    for (_, subject), messages in by(books.stream, "source", "subject").items():
        if len(found := {message["partition"] for message in messages}) > 1:
            yield subject, f"its events lie in the partitions {sorted(found)}"


# the consumers


def the_archive_has_every_event_once(books: Books) -> Iterator[Finding]:
    """As it was written, and its subject's events 1, 2, 3 ... without a gap."""
    written = {row["event_id"]: row for row in books.events}
    archived = by(books.archive, "event_id")
    for event_id, row in written.items():
        rows = archived.pop(event_id, [])
        if len(rows) != 1:
            yield row["subject"], f"event {row['sequence']}, a {row['type']}, is in the archive {len(rows)} times"
        elif _content(rows[0]) != _content(row):
            yield row["subject"], f"event {row['sequence']} is another in the archive: {_content(rows[0])}"
    for event_id, rows in archived.items():
        yield rows[0]["subject"], f"the archive has an event {event_id} that nobody wrote"
    for (_, subject), rows in by(books.archive, "source", "subject").items():
        if (found := sorted(row["sequence"] for row in rows)) != list(range(1, len(rows) + 1)):
            yield subject, f"the archive has {found}"


def customers_are_told_of_each_event_once(books: Books) -> Iterator[Finding]:
    """One message for each event that has one, of its kind and to its customer; and of no other event."""
    due = {
        row["event_id"]: (row["subject"], row["data"]["customerId"], TOLD[row["type"]])
        for row in books.events
        if row["type"] in TOLD
    }
    noted = by(books.notifications, "event_id")
    for event_id, message in due.items():
        found = [(row["order_id"], row["customer_id"], row["kind"]) for row in noted.pop(event_id, [])]
        if found != [message]:
            yield message[0], f"the messages of {event_id} are {found}, not {message}"
    for event_id, rows in noted.items():
        yield rows[0]["order_id"], f"a message {rows[0]['kind']} of {event_id}, which tells nothing to customers"


def every_message_is_sent_once(books: Books) -> Iterator[Finding]:
    """One file for each, and none for one that was not to be sent, which needs a reason."""
    sent = Counter((row["order_id"], row["kind"]) for row in books.notifications if row["state"] == "sent")
    files = Counter((mail["order_id"], mail["kind"]) for mail in books.mails)
    for message in sent.keys() | files.keys():
        if sent[message] != files[message]:
            yield message[0], f"{message[1]}: {sent[message]} messages are sent, and {files[message]} files there"
    for row in books.notifications:
        if row["state"] != "sent" and not (row["state"] == "skipped" and row["why"] in UNSENT):
            yield row["order_id"], f"its message {row['kind']} is {row['state']}: {row['why']}"


def hints_are_what_the_stock_says(books: Books) -> Iterator[Finding]:
    """One for each change that made a product scarce or brought it back, and no other."""
    due = {
        row["event_id"]: (row["subject"], kind, row["data"]["newQuantity"])
        for row in books.events
        if row["type"] == STOCK_CHANGED and (kind := _hint(row["data"])) is not None
    }
    noted = by(books.hints, "event_id")
    for event_id, hint in due.items():
        found = [(row["product_id"], row["kind"], row["on_hand"]) for row in noted.pop(event_id, [])]
        if found != [hint]:
            yield hint[0], f"the hints of {event_id} are {found}, not {hint}"
    for event_id, rows in noted.items():
        yield rows[0]["product_id"], f"a hint {rows[0]['kind']} of {event_id}, which is none"


def _hint(data: Row) -> str | None:
    now, before = data["newQuantity"], data["newQuantity"] - data["quantityChange"]
    if before <= 0 < now:
        return "back_in_stock"
    return "low" if before > STOCK_LOW >= now else None


def consumers_stand_at_the_end_of_the_stream(books: Books) -> Iterator[Finding]:
    """Of this stream, at the last event of each partition: neither beyond it, nor with any left to read."""
    ends = {message["partition"]: message for message in books.stream}
    for row in books.positions:
        end = ends.get(row["partition"])
        here = (row["incarnation"], row["position"], row["event_id"])
        there = (end["incarnation"], end["position"], end["event_id"]) if end else None
        if here != there and (end or row["event_id"]):
            yield f"{row['consumer']}/{row['partition']}", f"stands at {here}, and the partition ends at {there}"
    for consumer, rows in by(books.positions, "consumer").items():
        if missing := ends.keys() - {row["partition"] for row in rows}:
            yield consumer, f"has never read the partitions {sorted(missing)}"


def no_consumer_counts_what_was_not_written(books: Books) -> Iterator[Finding]:
    written = Counter(map(_about, books.events))
    for row in books.last_sequences:
        if row["sequence"] > written[_about(row)]:
            yield row["subject"], f"{row['consumer']} has seen event {row['sequence']} of {written[_about(row)]}"


def nothing_waits_for_a_person(books: Books) -> Iterator[Finding]:
    """No event of these runs is wrong, so none may be parked by a consumer."""
    for row in books.dead_letters:
        yield row["subject"], f"{row['consumer']} parked {row['event_id']}: {row['reason']} {row['detail']}"


# who looks on


def listeners_hear_each_row_once_and_in_order(books: Books) -> Iterator[Finding]:
    """From the first row to the last one, whatever failed on the way; then they are told that it is over.

    What is noted of an order that has ended comes after their end.
    """
    heard = by((entry for entry in books.journal if entry["kind"] == "heard"), "orderId")
    left = {entry["orderId"] for entry in books.journal if entry["kind"] == "left"}
    rows = by(books.timeline, "order_id")
    for order_id in {entry["orderId"] for entry in books.journal if entry["kind"] == "listening"}:
        found = [(entry["sequence"], entry["to"]) for entry in heard.get(order_id, [])]
        there = sorted((row["sequence"], row["to_status"]) for row in rows.get(order_id, []))
        end = next((number for number, (_, status) in enumerate(there, start=1) if status in FINAL), len(there))
        if found != there[: max(end, len(found))]:
            yield order_id, f"a listener heard {found}, its timeline is {there}"
        status = books.statuses.get(order_id)
        if (order_id in left) != (status in FINAL):
            yield order_id, f"is {status}, and its listener {'left' if order_id in left else 'still listens'}"


def _about(row: Row) -> tuple[str, str]:
    return row["source"], row["subject"]


def _content(row: Row) -> tuple[str, str, str, int, object]:
    return row["type"], row["source"], row["subject"], row["sequence"], row["data"]


EVENT_RULES: tuple[Rule, ...] = (
    every_event_is_published,
    the_broker_has_every_event,
    events_came_to_the_broker_in_order,
    a_subject_has_one_partition,
    the_archive_has_every_event_once,
    customers_are_told_of_each_event_once,
    every_message_is_sent_once,
    hints_are_what_the_stock_says,
    consumers_stand_at_the_end_of_the_stream,
    no_consumer_counts_what_was_not_written,
    nothing_waits_for_a_person,
    listeners_hear_each_row_once_and_in_order,
)
"""What must hold of the events at the end of a run, on top of `money_auditor.RULES`."""
