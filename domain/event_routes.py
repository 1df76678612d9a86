"""Which events reach which consumer: rules over type, subject and data, as an event bus has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from domain.cloud_events import CloudEvent
from domain.events import EventName

Scalar = str | int | bool | None
Comparison = Literal["=", "<", "<=", ">", ">="]


class Condition(BaseModel):
    """What a field of the data has to be; all that is given has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    any_of: list[Scalar] | None = None
    none_of: list[Scalar] | None = None
    prefix: str | None = None
    numeric: list[tuple[Comparison, Decimal]] | None = None  # also of a decimal string, e.g. totalAmount
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


class Rule(BaseModel):
    """Takes an event whose type, subject and data all fit; what is not given fits always.

    `types` are names (`OrderPlaced`) or CloudEvents types, with `*` for any characters, as in `subjects`. `data` goes
    by the names of fields, with dots between those of nested ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: list[str] | None = None
    subjects: list[str] | None = Field(default=None, min_length=1)
    data: dict[str, Condition] = {}

    @field_validator("types")
    @classmethod
    def _know_the_types(cls, given: list[str] | None) -> list[str] | None:
        return None if given is None else [known for one in given for known in _types_of(one)]

    @field_validator("data", mode="before")
    @classmethod
    def _take_values_as_conditions(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: _condition(value) for name, value in given.items()}

    def takes(self, event: CloudEvent) -> bool:
        """Whether the event fits."""
        if self.types is not None and event.type not in self.types:
            return False
        if self.subjects is not None and not any(_fits(event.subject, pattern) for pattern in self.subjects):
            return False
        return all(condition.holds(*_field(event.data, name)) for name, condition in self.data.items())


class Routes(BaseModel):
    """The rules of each consumer, by its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    consumers: dict[str, list[Rule]] = {}

    def rules_of(self, consumer: str, default: Sequence[Rule]) -> Sequence[Rule]:
        """Those that are configured, else the consumer's own; an empty list takes nothing."""
        return self.consumers.get(consumer, default)


def taken_by(rules: Sequence[Rule], event: CloudEvent) -> bool:
    """Whether any of a consumer's rules takes the event."""
    return any(rule.takes(event) for rule in rules)


def _types_of(given: str) -> list[str]:
    """The types that a name, a type or a pattern stands for. Raises ValueError, with what exists."""
    known = [name.type for name in EventName if given in (name.value, name.type) or _fits(name.type, given)]
    if not known:
        raise ValueError(f"no event is called {given}; there are {', '.join(name.value for name in EventName)}")
    return known


def _condition(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value
    return {"any_of": value if isinstance(value, list) else [value]}


def _fits(text: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def _field(data: Any, name: str) -> tuple[bool, Any]:
    for part in name.split("."):
        if not isinstance(data, Mapping) or part not in data:
            return False, None
        data = data[part]
    return True, data


def _is_one_of(value: Any, allowed: Sequence[Scalar]) -> bool:
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
