"""Which events reach whom: rules as of an event bus, by type, subject and values of the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from domain.cloud_events import CloudEvent
from domain.events import EventName

VERSIONED = re.compile(r"(?P<name>.+)\.v(?P<version>[1-9][0-9]*)")
NAMES: Mapping[str, EventName] = {name.type.rpartition(".v")[0]: name for name in EventName}

Value = str | int | bool


class EventType(NamedTuple):
    """What a CloudEvents type says: `ordersaga.order.placed.v1` is version 1 of OrderPlaced."""

    name: EventName | None  # None: one that this version of the code does not know
    version: int  # 0: the type names none

    @classmethod
    def of(cls, type_: str) -> EventType:
        """Reads a type; any text is one."""
        found = VERSIONED.fullmatch(type_)
        return cls(NAMES.get(found["name"]), int(found["version"])) if found else cls(None, 0)


class Rule(BaseModel):
    """Which events somebody gets; a condition that is left out lets all pass.

    `subject` is a whole subject, or its beginning and a `*`. `data` names fields of the event's data and the values
    of which each has to have one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: frozenset[EventName] | None = Field(default=None, min_length=1)
    subject: str = "*"
    data: Mapping[str, tuple[Value, ...]] = {}

    def wants(self, type_: EventType, event: CloudEvent) -> bool:
        """Whether the event passes, in whatever version of its type."""
        return (
            (self.types is None or type_.name in self.types)
            and self._is_about(event.subject)
            and all(_is_one_of(event.data.get(field), values) for field, values in self.data.items())
        )

    def _is_about(self, subject: str) -> bool:
        if self.subject.endswith("*"):
            return subject.startswith(self.subject[:-1])
        return subject == self.subject


def _is_one_of(value: Any, wanted: tuple[Value, ...]) -> bool:
    """True and 1 are two values, as in JSON."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in wanted)
