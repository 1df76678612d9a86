"""The names under which a simulator gets its secrets from the environment: arguments every user of a machine can list."""

from __future__ import annotations

API_KEY = "SIMULATOR_API_KEY"
WEBHOOK_SECRET = "SIMULATOR_WEBHOOK_SECRET"  # noqa: S105  # a name
