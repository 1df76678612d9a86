"""The envelope of events, as consumers in any language read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from domain.cloud_events import CloudEvent

EVENT = CloudEvent(
    id="e1",
    type="ordersaga.order.placed.v1",
    source="/orders",
    subject="o1",
    sequence=7,
    time=datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    data={"totalAmount": "1.00", "items": [{"quantity": 2}], "name": 'Gr\u00fc\u00dfe "x"'},
)


def test_an_event_is_written_as_structured_json() -> None:
    """With the attributes that the specification requires, and those of its extensions."""
    written = json.loads(EVENT.to_json())
    assert written.pop("data") == EVENT.data
    assert datetime.fromisoformat(written.pop("time")) == EVENT.time
    assert written == {
        "specversion": "1.0",
        "id": "e1",
        "type": "ordersaga.order.placed.v1",
        "source": "/orders",
        "subject": "o1",
        "sequence": 7,
        "datacontenttype": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }


@pytest.mark.parametrize("event", [EVENT, EVENT.model_copy(update={"traceparent": None, "data": {}})])
def test_an_event_is_read_as_it_was_written(event: CloudEvent) -> None:
    assert CloudEvent.from_json(event.to_json()) == event


def test_attributes_that_are_not_known_are_passed_over() -> None:
    """A newer relay may send more."""
    more = json.loads(EVENT.to_json()) | {"dataschema": "https://shop.example/x", "time": "2026-03-01T13:00:00+01:00"}
    read = CloudEvent.from_json(json.dumps(more).encode())
    assert read.time == datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    assert read.data == EVENT.data


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": "e1"}', EVENT.to_json()[:-1], b"\xff"])
def test_what_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(ValidationError):
        CloudEvent.from_json(body)
