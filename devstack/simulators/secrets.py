"""Under which names a simulator gets its secrets from the environment: every user of a machine can list arguments."""

from __future__ import annotations

API_KEY = "SIMULATOR_API_KEY"
WEBHOOK_SECRET = "SIMULATOR_WEBHOOK_SECRET"
