"""Cursors of lists: where the last page ended, opaque to clients."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from api.http.fields import Body
from domain.errors import InvalidInput, bad_fields

DIGITS = 18  # of a number that PostgreSQL's bigint holds for certain


class PageQuery(Body):
    """Which page of a list."""

    cursor: str | None = Field(default=None, max_length=500)
    limit: Annotated[int, Field(ge=1, le=100)] = 20


def write_cursor(*key: str | datetime) -> str:
    parts = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def read_cursor(cursor: str, length: int) -> list[str]:
    """The key that `write_cursor` was given. Raises InvalidInput for anything else."""
    try:
        parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise bad_cursor() from None
    if not isinstance(parts, list) or len(parts) != length or not all(_is_safe(part) for part in parts):
        raise bad_cursor()
    return parts


def read_time(part: str) -> datetime:
    """In UTC, as the database compares it: an offset could lead out of the years that there are."""
    try:
        at = datetime.fromisoformat(part)
        if at.tzinfo is None:
            raise bad_cursor()
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def read_number(part: str) -> int:
    """An id that the database counts."""
    if not (part.isdecimal() and len(part) <= DIGITS):
        raise bad_cursor()
    return int(part)


def bad_cursor() -> InvalidInput:
    return bad_fields({"cursor": "not a cursor that this list gave out"})


def _is_safe(part: object) -> bool:
    return isinstance(part, str) and part.isprintable() and part.isascii()
