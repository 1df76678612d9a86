"""The one clock of the service."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The time now, with its zone (UTC)."""
    return datetime.now(UTC)
