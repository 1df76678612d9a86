"""Settings for tests of other things, which share a database, and do in seconds what people do in hours."""

from __future__ import annotations

from typing import Any

OFTEN = "1000000/s"
UNLIMITED: dict[str, Any] = {
    "limit_reads": OFTEN,
    "limit_writes": OFTEN,
    "limit_checkouts": OFTEN,
    "limit_cancels": OFTEN,
    "limit_declines": OFTEN,
    "limit_failed_logins": OFTEN,
    "limit_patience": 60.0,  # seconds: a busy machine is no failing limiter
}
