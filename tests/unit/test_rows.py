"""Rows that travel as JSON: what is read, what counts as changed, and the one statement that writes it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.postgres.rows import Rows, Write, new_row, row_of, write_new
from services.orders.tables import Order, OrderLine, OrderStep
from services.outbox.tables import OutboxEvent
from services.payments.tables import Payment

AT = datetime(2026, 5, 1, 12, 0, 0, 250000, tzinfo=UTC)
ORDER = {
    "order_id": "o1",
    "customer_id": "c1",
    "status": "PLACED",
    "version": 1,
    "metadata": {"shop": "a"},
    "created_at": AT.isoformat(),
    "updated_at": AT.isoformat(),
    "of_a_later_version": "?",
}
FENCE = {"order_id": "o1", "step": "reserve_inventory", "state": "done", "result": None, "updated_at": AT.isoformat()}


def found() -> Rows:
    return Rows({"orders": [ORDER], "order_steps": [FENCE], "payments": None})


def written(write: Write | None) -> dict[str, list[dict[str, Any]]]:
    """The rows of a statement, by the table that they go to."""
    assert write is not None
    tables = [part.split()[2 if "INSERT" in part else 1] for part in write.sql.split(" AS (")[1:]]
    return dict(zip(tables, map(json.loads, write.arguments), strict=True))


def test_a_row_has_its_columns_as_the_model_names_them_and_no_others() -> None:
    row = row_of(Order, ORDER)
    assert (row.status, row.order_metadata, row.created_at) == ("PLACED", {"shop": "a"}, AT)
    assert row.refusal is None
    assert not hasattr(row, "of_a_later_version")


def test_a_new_row_is_what_the_constructor_makes() -> None:
    values: dict[str, Any] = {
        "order_id": "o1",
        "product_id": "p",
        "line_number": 1,
        "name": "n",
        "quantity": 2,
        "unit_price_minor": 5,
        "ordered_at": AT,
    }
    assert new_row(OrderLine, **values).model_dump() == OrderLine(**values).model_dump()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"order_id": "o1", "step": "s"}, "OrderStep"),
        ({"order_id": "o1", "step": "s", "state": "done", "sate": 1}, "no field.*sate"),
    ],
)
def test_a_new_row_needs_each_field_and_no_other(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        new_row(OrderStep, **values)


def test_nothing_changed_writes_nothing() -> None:
    rows = found()
    assert rows.take_changes() is None
    rows.of(Order)[0].status = "PLACED"
    assert rows.take_changes() is None


def test_only_changed_columns_are_written() -> None:
    """A column that this version does not know, or that somebody else owns, keeps its value."""
    rows = found()
    row = rows.of(Order)[0]
    row.status, row.updated_at = "RESERVED", AT.replace(hour=13)
    assert written(rows.take_changes()) == {
        "orders": [{"order_id": "o1", "status": "RESERVED", "updated_at": "2026-05-01T13:00:00.250000Z"}]
    }


def test_all_changes_are_one_statement_and_are_written_once() -> None:
    rows = found()
    rows.of(Order)[0].version = 2
    rows.of(OrderStep)[0].state = "undone"
    payment = Payment(payment_intent_id="pi_1", order_id="o1", state="created", amount_minor=5, currency="USD")
    rows.add(payment)
    assert rows.of(Payment) == [payment]
    assert sorted(written(rows.take_changes())) == ["order_steps", "orders", "payments"]
    assert rows.take_changes() is None

    payment.state = "authorized"
    assert written(rows.take_changes()) == {"payments": [{"payment_intent_id": "pi_1", "state": "authorized"}]}


def test_rows_of_one_table_are_changed_together() -> None:
    """Each row brings all columns that changed in any of them: what it has, so that nothing is lost."""
    second = FENCE | {"step": "ship_order"}
    rows = Rows({"order_steps": [FENCE, second]})
    first, other = rows.of(OrderStep)
    first.state, other.result = "undone", {"a": 1}
    assert written(rows.take_changes())["order_steps"] == [
        {"order_id": "o1", "step": "reserve_inventory", "state": "undone", "result": None},
        {"order_id": "o1", "step": "ship_order", "state": "done", "result": {"a": 1}},
    ]


def test_what_the_database_fills_is_left_to_it() -> None:
    event = OutboxEvent(
        event_id="e", type="t", source="/orders", subject="o1", sequence=1, time=AT, data={"a": "1"}, traceparent=None
    )
    write = write_new([event])
    columns = write.sql.split("INSERT INTO outbox (")[1].split(")")[0]
    assert '"id"' not in columns.split(", ")
    assert '"data"' in columns.split(", ")
