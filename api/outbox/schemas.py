"""What operators ask of published events, and what they are told of parked ones."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from adapters.clock import now
from api.http.fields import Body, Identifier, Text40, Wire
from domain.events import EventName
from services.outbox.parking import ParkedEvent
from services.outbox.replays import Replay


def _known_type(given: str) -> str:
    """The CloudEvents type of a name or a type."""
    for name in EventName:
        if given in (name.value, name.type):
            return name.type
    raise ValueError(f"no event is called {given}; there are {', '.join(name.value for name in EventName)}")


class ReplayWanted(Body):
    """Which events are published again: of a time, perhaps of one type or subject only."""

    since: AwareDatetime = Field(alias="from", description="events that happened then or later")
    until: AwareDatetime | None = Field(default=None, alias="to", description="and before this; now if left out")
    type: Annotated[str, AfterValidator(_known_type)] | None = Field(
        default=None, max_length=200, description="`OrderPlaced` or `ordersaga.order.placed.v1`"
    )
    subject: Identifier | None = Field(default=None, description="of one order or product")
    by: Text40 | None = Field(default=None, description="as your token says; may be left out")

    @model_validator(mode="after")
    def _refuse_an_empty_time(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError("`to` has to be later than `from`")
        return self

    def to_replay(self) -> Replay:
        return Replay(self.since, self.until or now(), self.type, self.subject)


class ReplayView(Wire):
    events: int = Field(description="that are published again, as soon as the relay gets to them")


class ParkedView(Wire):
    event_id: str
    type: str
    source: str
    subject: str
    sequence: int
    time: datetime
    parked_at: datetime
    because: str = Field(description="the broker's own words")
    behind: int = Field(description="events of the same subject that wait for it")

    @classmethod
    def of(cls, parked: ParkedEvent) -> ParkedView:
        return cls(**parked._asdict())


class ParkedPage(Wire):
    events: list[ParkedView]


class UnparkedView(Wire):
    events: int = Field(description="that are tried again: the one that was refused, and those behind it")
