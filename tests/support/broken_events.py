"""Ways to break clean books of the events of a run of chaos, each with the rule that has to find it."""

from __future__ import annotations

from typing import Any

from chaos.books import Books
from tests.support.broken_books import Break, more, row, without
from tests.support.chaos_events import INCARNATION, message

PARKED = {"published": False, "parked": True, "parked_because": "too large"}


def put(table: str, wanted: dict[str, str], **values: Any) -> Break:
    """Other values in the first row of a table that fits."""
    return lambda books: row(getattr(books, table), **wanted).update(values)


def park(books: Books) -> None:
    """The broker has refused an order's last event."""
    put("events", {"event_id": "ready-3"}, **PARKED)(books)
    without("stream", event_id="ready-3")(books)


def swapped(books: Books) -> None:
    """The second event of an order came to the broker before the first one."""
    first, second = (row(books.stream, event_id=f"declined-{number}") for number in (1, 2))
    one, other = books.stream.index(first), books.stream.index(second)
    books.stream[one], books.stream[other] = books.stream[other], books.stream[one]


def heard(sequence: int, to: str) -> Break:
    return more("journal", {"kind": "heard", "orderId": "declined", "sequence": sequence, "to": to})


BROKEN: list[tuple[str, str, Break]] = [
    ("an event waits", "every_event_is_published", put("events", {"event_id": "ready-2"}, published=False)),
    ("an event is parked, and nobody was called", "every_event_is_published", park),
    ("the broker lost an event", "the_broker_has_every_event", without("stream", event_id="declined-2")),
    (
        "the broker has what nobody wrote",
        "the_broker_has_every_event",
        lambda books: books.stream.append({**message(books, "ready-1"), "event_id": "made up"}),
    ),
    (
        "the broker has another content",
        "the_broker_has_every_event",
        put("stream", {"event_id": "ready-2"}, data={"customerId": "c-2"}),
    ),
    ("an event overtook another", "events_came_to_the_broker_in_order", swapped),
    (
        "a repeat came to another partition",
        "a_subject_has_one_partition",
        lambda books: books.stream.append({**message(books, "ready-1"), "partition": 6}),
    ),
    ("the archive lost an event", "the_archive_has_every_event_once", without("archive", event_id="ready-3")),
    (
        "the archive has an event twice",
        "the_archive_has_every_event_once",
        lambda books: books.archive.append(row(books.archive, event_id="ready-3")),
    ),
    (
        "the archive has what nobody wrote",
        "the_archive_has_every_event_once",
        lambda books: books.archive.append({**row(books.archive, event_id="ready-3"), "event_id": "made up"}),
    ),
    (
        "the archive has another sequence",
        "the_archive_has_every_event_once",
        put("archive", {"event_id": "ready-3"}, sequence=4),
    ),
    (
        "a customer hears nothing",
        "customers_are_told_of_each_event_once",
        without("notifications", event_id="ready-3"),
    ),
    (
        "a customer hears it twice",
        "customers_are_told_of_each_event_once",
        lambda books: books.notifications.append(row(books.notifications, event_id="ready-3")),
    ),
    (
        "a customer hears of something else",
        "customers_are_told_of_each_event_once",
        put("notifications", {"event_id": "ready-3"}, kind="shipped"),
    ),
    (
        "another customer hears it",
        "customers_are_told_of_each_event_once",
        put("notifications", {"event_id": "ready-3"}, customer_id="c-2"),
    ),
    (
        "a customer hears of what is no news",
        "customers_are_told_of_each_event_once",
        lambda books: books.notifications.append(
            {**row(books.notifications, event_id="ready-3"), "event_id": "ready-2"}
        ),
    ),
    ("a sent message has no file", "every_message_is_sent_once", without("mails", order_id="ready")),
    (
        "a message went out twice",
        "every_message_is_sent_once",
        more("mails", {"order_id": "ready", "kind": "confirmed"}),
    ),
    (
        "a message was never sent",
        "every_message_is_sent_once",
        put("notifications", {"event_id": "declined-3"}, state="waiting", why=None),
    ),
    (
        "a message was left out for no good reason",
        "every_message_is_sent_once",
        put("notifications", {"event_id": "declined-3"}, why="unwanted"),
    ),
    ("a hint is missing", "hints_are_what_the_stock_says", without("hints", event_id="lamp-2")),
    (
        "a hint tells another number",
        "hints_are_what_the_stock_says",
        put("hints", {"event_id": "lamp-2"}, on_hand=0),
    ),
    (
        "a hint is of nothing",
        "hints_are_what_the_stock_says",
        more("hints", {"event_id": "lamp-3", "product_id": "lamp", "kind": "low", "on_hand": 0}),
    ),
    (
        "a consumer is beyond the stream",
        "consumers_stand_at_the_end_of_the_stream",
        put("positions", {"consumer": "stock_hints"}, position=99, event_id="lost"),
    ),
    (
        "a consumer is behind",
        "consumers_stand_at_the_end_of_the_stream",
        put("positions", {"consumer": "notifications"}, position=1, event_id="ready-1"),
    ),
    (
        "a consumer is in another stream",
        "consumers_stand_at_the_end_of_the_stream",
        put("positions", {"consumer": "event_archive"}, incarnation=f"not {INCARNATION}"),
    ),
    (
        "a consumer has read in an empty partition",
        "consumers_stand_at_the_end_of_the_stream",
        lambda books: books.positions[3].update(event_id="lost"),  # type: ignore[attr-defined]
    ),
    (
        "a consumer never read a partition",
        "consumers_stand_at_the_end_of_the_stream",
        without("positions", consumer="stock_hints"),
    ),
    (
        "a consumer has counted beyond what is there",
        "no_consumer_counts_what_was_not_written",
        put("last_sequences", {"subject": "lamp"}, sequence=4),
    ),
    (
        "a consumer has parked an event",
        "nothing_waits_for_a_person",
        more(
            "dead_letters",
            {"consumer": "notifications", "event_id": "e", "subject": "ready", "reason": "failed", "detail": ""},
        ),
    ),
    (
        "a listener missed a row",
        "listeners_hear_each_row_once_and_in_order",
        without("journal", kind="heard", sequence=2),
    ),
    (
        "a listener missed the end",
        "listeners_hear_each_row_once_and_in_order",
        without("journal", kind="heard", sequence=3),
    ),
    ("a listener heard a row again", "listeners_hear_each_row_once_and_in_order", heard(3, "REJECTED")),
    ("a listener heard what is not there", "listeners_hear_each_row_once_and_in_order", heard(4, "CONFIRMED")),
    (
        "a listener heard another state",
        "listeners_hear_each_row_once_and_in_order",
        lambda books: row(books.journal, kind="heard", sequence=2).update(to="CONFIRMED"),
    ),
    (
        "a listener is not told that it is over",
        "listeners_hear_each_row_once_and_in_order",
        without("journal", kind="left"),
    ),
    (
        "a listener was sent away too soon",
        "listeners_hear_each_row_once_and_in_order",
        more(
            "journal",
            {"kind": "listening", "orderId": "ready"},
            *(
                {"kind": "heard", "orderId": "ready", "sequence": number, "to": status}
                for number, status in enumerate(("PLACED", "RESERVED", "CONFIRMED", "READY_TO_SHIP"), start=1)
            ),
            {"kind": "left", "orderId": "ready"},
        ),
    ),
]
"""What is wrong, the rule, and how to get there."""
