"""Words that came by hand are in the event that brought them, and nowhere else: by the recorded histories."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.recordings.record import HISTORIES
from tests.support.disclosure import payloads
from tests.support.replaying import Told, read, told

SIGNALED = "workflow_execution_signaled_event_attributes"
CANCEL_REQUESTED = "workflow_execution_cancel_requested_event_attributes"
UPDATED = "workflow_execution_update_accepted_event_attributes"
SAID = ("changed my mind", "really", "found it cheaper", "receipt 17", "by phone")


@pytest.mark.parametrize(
    ("path", "brought", "stored"),
    [
        ("canceled_with_a_text", [], 0),  # the API has stored it
        ("canceled_in_words_by_signal", [SIGNALED, SIGNALED], 2),
        ("canceled_in_words_natively", [CANCEL_REQUESTED], 1),
        ("canceled_in_words_that_were_hard_to_store", [SIGNALED], 3),
        ("settled_in_words_by_update", [UPDATED], 2),
        ("recovery_canceled_in_words", [SIGNALED], 1),
    ],
)
def test_no_step_gets_the_words(path: str, brought: list[str], stored: int) -> None:
    """`stored` counts the attempts to store them, whose inputs the history does not keep."""
    history = read(HISTORIES / f"{path}.json")
    events = [
        event for event in history.events if any(said in "\n".join([str(event), *payloads(event)]) for said in SAID)
    ]
    assert [event.WhichOneof("attributes") for event in events] == brought
    assert Counter(told(history))[Told("activity", "keep_text")] == stored


def test_the_search_finds_words_that_are_there() -> None:
    """An order of an older version: its reason went into the update and three steps."""
    events = read(HISTORIES / "canceled_ready_to_ship.json").events
    found = [event.WhichOneof("attributes") for event in events if "found it cheaper" in "\n".join(payloads(event))]
    assert found == [UPDATED, *["activity_task_scheduled_event_attributes"] * 3]
