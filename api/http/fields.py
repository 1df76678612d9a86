"""The kinds of field that request bodies are made of: what is taken, in which bounds, and how it is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from domain.card_numbers import SHORTEST, has_card_number
from domain.identifiers import ID_LENGTH, ID_PATTERN
from domain.plain_text import is_readable


class Wire(BaseModel):
    """What goes out: camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Body(BaseModel):
    """What comes in: camelCase or snake_case, and nothing that we do not know."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


MOST_METADATA = 20
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _integer_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _readable(value: str) -> str:
    if not is_readable(value):
        raise ValueError("control characters and marks that turn the direction of writing are not taken")
    return value


def _written(value: str) -> str:
    """Both; a body may have thousands of short names, which are judged without a further call."""
    if len(value) < SHORTEST and value.isascii() and value.isprintable():
        return value
    return _no_card_number(_readable(value))


def _no_card_number(value: str) -> str:
    if len(value) >= SHORTEST and has_card_number(value):
        raise ValueError("this holds the number of a payment card, which is taken nowhere here")
    return value


def _few(value: Any) -> Any:
    """Counted before any of them is read."""
    if isinstance(value, dict) and len(value) > MOST_METADATA:
        raise ValueError(f"at most {MOST_METADATA} entries are taken")
    return value


def _exact_number(value: Any) -> Any:
    """Takes a JSON number or plain digits as text; not what else Decimal would read ("1e5", "NaN", " 1", true)."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError("a decimal number is needed, like 79.99 or '79.99'")
    if isinstance(value, str) and not (value.isascii() and value.replace(".", "", 1).isdigit()):
        raise ValueError("a decimal number is needed, like '79.99'")
    return value


def _rfc_3339(value: Any) -> Any:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("an RFC 3339 time with its offset is needed, like 2026-01-31T09:00:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time is out of range") from None


def _capitals(value: str) -> str:
    return value.upper()


Identifier = Annotated[
    str,
    BeforeValidator(_integer_as_text, json_schema_input_type=str | int),
    StringConstraints(min_length=1, max_length=ID_LENGTH, pattern=ID_PATTERN),
]
Amount = Annotated[
    Decimal,
    BeforeValidator(_exact_number, json_schema_input_type=str | int | float),
    Field(ge=0, max_digits=15, decimal_places=3),
]
Percent = Annotated[
    Decimal,
    BeforeValidator(_exact_number, json_schema_input_type=str | int | float),
    Field(ge=0, le=100, max_digits=7, decimal_places=4),
]
Currency = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Z]{3}$")]
NoCardNumber = AfterValidator(_no_card_number)
"""For every text that people write; ids are not looked at for card numbers (docs/pci.md)."""
Text40 = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=40), AfterValidator(_written)]
Text200 = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=200, strip_whitespace=True),
    AfterValidator(_written),
]
Text500 = Annotated[str, StringConstraints(strict=True, max_length=500), AfterValidator(_written)]
Metadata = Annotated[dict[Text40, Text500], BeforeValidator(_few), Field(max_length=MOST_METADATA)]
Time = Annotated[AwareDatetime, BeforeValidator(_rfc_3339, json_schema_input_type=str), AfterValidator(_in_utc)]
CouponCode = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=ID_LENGTH, pattern=ID_PATTERN),
    AfterValidator(_capitals),
]
ShippingOptionName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=40, pattern=ID_PATTERN)]
