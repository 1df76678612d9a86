"""Which events reach whom: rules as of an event bus, by type, subject and values of the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from domain.cloud_events import CloudEvent
from domain.event_registry import REGISTRY, UnknownEventType, named
from domain.events import EventName

VERSIONED = re.compile(r"(?P<name>.+)\.v(?P<version>[1-9][0-9]*)")
NAMES: Mapping[str, EventName] = {name.type.rpartition(".v")[0]: name for name in EventName}

Value = str | int | bool | None
Comparison = Literal["=", "<", "<=", ">", ">="]


class EventType(NamedTuple):
    """What a CloudEvents type says: `ordersaga.order.placed.v1` is version 1 of OrderPlaced."""

    name: EventName | None  # None: one that this version of the code does not know
    version: int  # 0: the type names none

    @staticmethod
    @lru_cache(maxsize=256)
    def of(type_: str) -> EventType:
        """Reads a type; any text is one."""
        found = VERSIONED.fullmatch(type_)
        return EventType(NAMES.get(found["name"]), int(found["version"])) if found else EventType(None, 0)


class Condition(BaseModel):
    """What a field of the data has to be; all that is given has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    any_of: tuple[Value, ...] | None = None
    none_of: tuple[Value, ...] | None = None
    prefix: str | None = None
    numeric: tuple[tuple[Comparison, Decimal], ...] | None = None  # also of a decimal string, e.g. totalAmount
    exists: bool | None = None

    def holds(self, found: bool, value: Any) -> bool:
        """Whether it holds for a field that was found, or is missing."""
        if self.exists is not None and found is not self.exists:
            return False
        if not found:
            return self.any_of is None and self.prefix is None and self.numeric is None
        if self.any_of is not None and not _is_one_of(value, self.any_of):
            return False
        if self.none_of is not None and _is_one_of(value, self.none_of):
            return False
        if self.prefix is not None and not (isinstance(value, str) and value.startswith(self.prefix)):
            return False
        return all(_compares(value, sign, bound) for sign, bound in self.numeric or ())


def _named(given: Any) -> Any:
    """The events that are meant by names, types and patterns. Raises ValueError, with what exists."""
    if not isinstance(given, Iterable) or isinstance(given, str):
        return given
    return frozenset(name for one in given for name in _names_of(one))


def _names_of(given: Any) -> Iterable[EventName]:
    if not isinstance(given, str):
        raise ValueError("a type of event is a text")
    if given in NAMES:
        return {NAMES[given]}
    if "*" in given:
        found = {one.name for one in REGISTRY if _fits(one.type, given) or _fits(one.name, given)}
        if not found:
            raise ValueError(f"no type of event is like {given}; there are {', '.join(one.type for one in REGISTRY)}")
        return found
    try:
        return {one.name for one in named(given)}
    except UnknownEventType as unknown:
        raise ValueError(f"{given}: {unknown}") from None


def _conditions(given: Any) -> Any:
    """A value stands for itself, and a list for any of its values."""
    if not isinstance(given, Mapping):
        return given
    return {name: _condition(value) for name, value in given.items()}


def _condition(value: Any) -> Any:
    if isinstance(value, Mapping | Condition):
        return value
    return {"any_of": value if isinstance(value, list | tuple) else [value]}


class Rule(BaseModel):
    """Which events somebody gets: those of which type, subject and data all fit. What is left out lets all pass.

    `types` are names (`OrderPlaced`), types (`ordersaga.order.placed.v1`), or patterns of either. The version is not
    looked at: whoever asks for OrderPlaced also gets one of a version that it does not know, and has to park it.
    `subjects` may be patterns, too; a `*` is any characters. `data` goes by names of fields, with dots between those
    of nested ones, and gives a value, a list of them, or a `Condition`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: Annotated[frozenset[EventName] | None, BeforeValidator(_named)] = Field(default=None, min_length=1)
    subjects: tuple[str, ...] | None = Field(default=None, min_length=1)
    data: Annotated[Mapping[str, Condition], BeforeValidator(_conditions)] = {}

    def wants(self, type_: EventType, event: CloudEvent) -> bool:
        """Whether the event passes, in whatever version of its type."""
        if self.types is not None and type_.name not in self.types:
            return False
        if self.subjects is not None and not any(_fits(event.subject, pattern) for pattern in self.subjects):
            return False
        return all(condition.holds(*_field(event.data, name)) for name, condition in self.data.items())


class Wanted(Protocol):
    """Says of each event whether somebody gets it."""

    def wants(self, type_: EventType, event: CloudEvent) -> bool:
        """Whether the event passes."""
        ...


class AnyRule(NamedTuple):
    """What any of several rules lets pass; without a rule that is nothing."""

    rules: Sequence[Rule]

    def wants(self, type_: EventType, event: CloudEvent) -> bool:
        """Whether the event passes one of them."""
        return any(rule.wants(type_, event) for rule in self.rules)


class Routes(BaseModel):
    """The rules of each consumer, by its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    consumers: Mapping[str, tuple[Rule, ...]] = {}

    def of(self, own: Mapping[str, Rule]) -> dict[str, Wanted]:
        """What each consumer gets: what the rules say, or else what it asks for itself (`own`, by name).

        Raises ValueError for a consumer that does not exist, with those that do.
        """
        if unknown := sorted(self.consumers.keys() - own.keys()):
            raise ValueError(f"there is no consumer {unknown[0]!r}; there are {', '.join(sorted(own))}")
        return {**own, **{name: AnyRule(rules) for name, rules in self.consumers.items()}}


def _fits(text: str, pattern: str) -> bool:
    return pattern == "*" or _pattern(pattern).fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


def _field(data: Any, name: str) -> tuple[bool, Any]:
    for part in name.split("."):
        if not isinstance(data, Mapping) or part not in data:
            return False, None
        data = data[part]
    return True, data


def _is_one_of(value: Any, allowed: Sequence[Value]) -> bool:
    """True and 1 are two values, as in JSON."""
    return any(type(value) is type(one) and value == one for one in allowed)


def _compares(value: Any, sign: Comparison, bound: Decimal) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return False
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return False
    if not number.is_finite():
        return False
    return {
        "=": number == bound,
        "<": number < bound,
        "<=": number <= bound,
        ">": number > bound,
        ">=": number >= bound,
    }[sign]
