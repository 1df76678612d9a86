"""Which HTTP status the domain's errors have: the one place, and the one table, that knows."""

from __future__ import annotations

import re
from collections.abc import Mapping

from domain.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    PaymentRequired,
    Refused,
    Stale,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from domain.event_registry import UnknownEventType


class Malformed(Refused):
    """The request cannot be read as what it has to be: a header, a signature, or a body that is no JSON."""


class ForeignBody(InvalidInput):
    """A body in the words of its sender, e.g. a webhook: its fields are named as the sender names them."""


STATUS: Mapping[type[Refused], int] = {
    Malformed: 400,
    Unauthenticated: 401,
    PaymentRequired: 402,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Stale: 412,
    InvalidInput: 422,
    ForeignBody: 422,
    UnknownEventType: 422,
    TooMany: 429,
    Unavailable: 503,
}
"""By what the refusal means (RFC 9110, sections 15.5 and 15.6; RFC 6585, section 4)."""

_WORD = re.compile(r"_([a-z])")


def errors_of(refused: Refused) -> list[dict[str, str]]:
    """The fields that are wrong, under the names that clients know."""
    name_of = str if isinstance(refused, ForeignBody) else camel_case
    return [{"field": name_of(name), "message": message} for name, message in refused.fields]


def camel_case(name: str) -> str:
    """A name of ours as clients know it: `items[0].product_id` is `items[0].productId`."""
    return _WORD.sub(lambda found: found[1].upper(), name)
