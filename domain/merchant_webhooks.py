"""Webhooks to merchants: which events an endpoint gets, when a delivery is retried, when an endpoint is disabled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from domain.cloud_events import CloudEvent
from domain.errors import BadField
from domain.event_registry import UnknownEventType, named
from domain.routing import EventType

EVERYTHING = "*"
"""In a filter: every event, also of types that come later."""

TEST_TYPE = "ordersaga.webhook.test.v1"

PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14_400))
"""Before the second try of a delivery, the third and so on; the last one is repeated until its time is over."""

SPREAD = 0.1  # a pause is up to this share longer, so that what failed together does not come back together

TRIED_AT_ONCE = 2
"""So many failures in a row are about deliveries; more of them are about the endpoint, which then gets a rest."""

FIRST_REST, LAST_REST = timedelta(seconds=5), timedelta(minutes=15)
LONGEST_WISH = timedelta(hours=1)  # of an answer that says when to try again
GONE = 410  # https://www.rfc-editor.org/rfc/rfc9110#name-410-gone: nobody will ever be there again
EXCERPT = 500  # characters of an answer that are kept


class EndpointState(StrEnum):
    """How an endpoint stands."""

    ACTIVE = "active"
    DISABLED = "disabled"  # nothing is sent; events wait until it is active again, or leave with the log


class Disabled(StrEnum):
    """Why an endpoint is disabled."""

    FAILURES = "failures"  # too many in a row
    GONE = "gone"  # it has answered 410
    OPERATOR = "operator"  # somebody wanted it


class DeliveryState(StrEnum):
    """How a delivery stands."""

    WAITING = "waiting"  # for its first try, or for the next one
    DELIVERED = "delivered"  # answered with 2xx
    GIVEN_UP = "given_up"  # tried until its time was over


class DeliveryKind(StrEnum):
    """What is delivered."""

    EVENT = "event"
    TEST = "test"  # tried once, also at a disabled endpoint, and never counted


class Attempt(NamedTuple):
    """What came of one try; `error` says why there is no answer."""

    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None
    answer: str = ""  # its beginning
    retry_after: timedelta | None = None  # the endpoint's own wish

    @property
    def is_delivered(self) -> bool:
        """Only 2xx is: a redirect is not followed."""
        return self.status is not None and 200 <= self.status < 300


class Patience(NamedTuple):
    """What is set about failures."""

    window: timedelta  # from the first try of a delivery to the last
    failures: int  # in a row, after which an endpoint is disabled


class Verdict(NamedTuple):
    """What becomes of a delivery; `pause` until the next try."""

    state: DeliveryState
    pause: timedelta | None = None


def chosen_events(names: Sequence[str]) -> list[str]:
    """A filter as it is kept: `*`, names (`OrderPlaced`) and types with a version (`ordersaga.order.placed.v1`).

    Raises UnknownEventType, which names the entry and what exists.
    """
    chosen = []
    for index, name in enumerate(names):
        if name == EVERYTHING:
            return [EVERYTHING]
        try:
            found = named(name)
        except UnknownEventType as unknown:
            fields = [BadField(f"events[{index}]", f"{unknown.detail}; * means all")]
            raise UnknownEventType(unknown.code, f"{unknown.detail}; * means all", fields=fields) from None
        chosen.append(name if name in {one.type for one in found} else found[0].name.value)
    return list(dict.fromkeys(chosen))


def wants(events: Iterable[str], type_: str) -> bool:
    """Whether an endpoint with this filter gets events of a CloudEvents type."""
    name = EventType.of(type_).name
    return any(one in (EVERYTHING, type_, name) for one in events)


def judge(
    attempt: Attempt, attempts: int, since: timedelta, patience: Patience, kind: DeliveryKind, chance: float
) -> Verdict:
    """What a try means for its delivery, of which it was the `attempts`th, `since` the first.

    `chance` (0 to 1) spreads what failed together.
    """
    if attempt.is_delivered:
        return Verdict(DeliveryState.DELIVERED)
    if kind is DeliveryKind.TEST or since >= patience.window:
        return Verdict(DeliveryState.GIVEN_UP)
    pause = PAUSES[min(attempts, len(PAUSES)) - 1] * (1 + SPREAD * chance)
    pause = max(pause, wish_of(attempt))
    return Verdict(DeliveryState.WAITING, min(pause, patience.window - since))


def rest(failures: int, attempt: Attempt) -> timedelta:
    """How long an endpoint is left alone after so many failures in a row: nothing is sent to it meanwhile."""
    wish = wish_of(attempt)
    if failures <= TRIED_AT_ONCE:
        return wish
    doublings = min(failures - TRIED_AT_ONCE - 1, 20)
    own: timedelta = min(FIRST_REST * 2**doublings, LAST_REST)
    return max(own, wish)


def wish_of(attempt: Attempt) -> timedelta:
    """For how long the endpoint asks to be left alone, up to an hour."""
    return max(timedelta(0), min(attempt.retry_after or timedelta(0), LONGEST_WISH))


def disables(failures: int, attempt: Attempt, patience: Patience) -> Disabled | None:
    """Whether an endpoint is disabled after so many failures in a row, the last of which is `attempt`."""
    if attempt.status == GONE:
        return Disabled.GONE
    return Disabled.FAILURES if failures >= patience.failures else None


def excerpt(answer: bytes) -> str:
    """The beginning of an answer as operators may read it: a terminal must not obey what a stranger has written."""
    words = "".join(one if one.isprintable() else " " for one in answer.decode("utf-8", "replace"))
    return " ".join(words.split())[:EXCERPT]


def event_of_test(endpoint_id: str, event_id: str, at: datetime) -> CloudEvent:
    """What a test delivers: an event of no order, by whose type a merchant knows it."""
    data = {"eventId": event_id, "timestamp": at.isoformat(), "endpointId": endpoint_id}
    return CloudEvent(
        id=event_id, type=TEST_TYPE, source="/webhook-endpoints", subject=endpoint_id, sequence=0, time=at, data=data
    )
