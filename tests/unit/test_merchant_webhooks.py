"""Which events a merchant gets, when a delivery is tried again, when an endpoint rests and when it is disabled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import BadField
from domain.event_registry import BY_TYPE, UnknownEventType
from domain.merchant_webhooks import (
    LAST_REST,
    Attempt,
    DeliveryKind,
    DeliveryState,
    Disabled,
    Patience,
    chosen_events,
    disables,
    event_of_test,
    excerpt,
    judge,
    rest,
    wants,
)

PLACED, SHIPPED = "ordersaga.order.placed.v1", "ordersaga.order.shipped.v1"
DAY, NONE = timedelta(days=1), timedelta(0)
PATIENCE = Patience(DAY, 100)
AT = datetime(2026, 3, 1, tzinfo=UTC)


def answered(status: int, retry_after: int | None = None) -> Attempt:
    wish = None if retry_after is None else timedelta(seconds=retry_after)
    return Attempt(AT, 0.1, status, retry_after=wish)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["OrderPlaced", "OrderShipped"], ["OrderPlaced", "OrderShipped"]),
        (["OrderCreated", "OrderPlaced"], ["OrderPlaced"]),
        ([PLACED], [PLACED]),
        (["OrderPlaced", "*"], ["*"]),
    ],
)
def test_a_filter_takes_names_types_and_all(names: list[str], chosen: list[str]) -> None:
    """An older name means what it is called today."""
    assert chosen_events(names) == chosen


def test_an_unknown_event_is_refused_with_what_exists() -> None:
    """And the entry that is wrong."""
    with pytest.raises(UnknownEventType) as refused:
        chosen_events(["OrderPlaced", "OrderLost"])
    (field,) = refused.value.fields
    assert isinstance(field, BadField) and field.name == "events[1]"
    assert "OrderPlaced" in field.message and "InventoryUpdated" in field.message and "* means all" in field.message


def test_an_endpoint_gets_what_its_filter_names() -> None:
    """A name means every version of a type, also a later one; a type means one version; * also what is unknown."""
    assert [type_ for type_ in BY_TYPE if wants(["OrderPlaced"], type_)] == [PLACED]
    assert wants(["OrderPlaced"], "ordersaga.order.placed.v2") and not wants([PLACED], "ordersaga.order.placed.v2")
    assert wants([PLACED], PLACED) and not wants([PLACED], SHIPPED)
    assert wants(["*"], "ordersaga.order.teleported.v1") and not wants(["OrderPlaced"], "nonsense")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_only_2xx_is_delivered(status: int) -> None:
    assert judge(answered(status), 1, NONE, PATIENCE, DeliveryKind.EVENT, 0).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 422, 429, 500, 503, None])
def test_all_else_is_tried_again(status: int | None) -> None:
    """A redirect is not followed, and a merchant may mend what refuses an event."""
    attempt = Attempt(AT, 0.1, status, None if status else "timeout")
    verdict = judge(attempt, 1, NONE, PATIENCE, DeliveryKind.EVENT, 0)
    assert verdict == (DeliveryState.WAITING, timedelta(seconds=5))


def test_a_delivery_is_tried_for_a_day() -> None:
    """Ever less often, the last time when the day is over, and then no more."""
    since, tries = NONE, list[timedelta]()
    while (verdict := judge(answered(500), len(tries) + 1, since, PATIENCE, DeliveryKind.EVENT, 0.5)).pause:
        assert verdict.state is DeliveryState.WAITING
        tries.append(verdict.pause)
        since += verdict.pause
    assert verdict.state is DeliveryState.GIVEN_UP
    assert since == DAY
    assert 10 <= len(tries) <= 15
    assert tries[:-1] == sorted(tries[:-1])


def test_what_failed_together_does_not_come_back_together() -> None:
    """By up to a tenth of the pause."""
    first, last = (judge(answered(500), 6, NONE, PATIENCE, DeliveryKind.EVENT, chance).pause for chance in (0, 1))
    assert (first, last) == (timedelta(hours=1), timedelta(hours=1.1))


def test_an_endpoint_may_say_when_to_come_back() -> None:
    """Up to an hour; never sooner than we would."""
    pauses = [judge(answered(429, wish), 1, NONE, PATIENCE, DeliveryKind.EVENT, 0).pause for wish in (1, 60, 10**9)]
    assert pauses == [timedelta(seconds=5), timedelta(minutes=1), timedelta(hours=1)]
    assert [rest(1, answered(429, wish)) for wish in (0, 60)] == [NONE, timedelta(minutes=1)]


def test_a_test_is_tried_once() -> None:
    verdict = judge(answered(500), 1, NONE, PATIENCE, DeliveryKind.TEST, 0)
    assert verdict == (DeliveryState.GIVEN_UP, None)


def test_an_endpoint_that_fails_rests_ever_longer() -> None:
    """One or two failures in a row are about deliveries; up to a quarter of an hour after more of them."""
    rests = [rest(failures, answered(500)) for failures in range(1, 101)]
    assert rests[:5] == [NONE, NONE, timedelta(seconds=5), timedelta(seconds=10), timedelta(seconds=20)]
    assert rests == sorted(rests) and rests[-1] == LAST_REST
    assert timedelta(hours=22) < sum(rests, NONE) < timedelta(hours=25)


def test_an_endpoint_is_disabled_after_a_set_number_of_failures_or_when_it_is_gone() -> None:
    assert disables(99, answered(500), PATIENCE) is None
    assert disables(100, answered(500), PATIENCE) is Disabled.FAILURES
    assert disables(1, answered(410), PATIENCE) is Disabled.GONE


def test_an_answer_is_kept_as_harmless_words() -> None:
    """No control characters, no change of direction, no more than five hundred characters."""
    assert excerpt(b"\x1b[31m no\r\n\xe2\x80\xae way \xff\x00") == "[31m no way \ufffd"
    assert len(excerpt(b"a" * 5000)) == 500


def test_a_test_says_that_it_is_one() -> None:
    """By its type, which no event has."""
    event = event_of_test("we_1", "test_1", AT)
    assert event.type not in BY_TYPE
    assert (event.subject, event.data["endpointId"], event.data["eventId"]) == ("we_1", "we_1", "test_1")
