"""The checks of `ordersaga doctor` for what payloads in Temporal are encrypted with."""

from __future__ import annotations

from adapters.settings import Settings
from adapters.temporal.key_ring import KeysUnusable, read_keys
from commandline.doctor.checks import Check, fail, ok, warn

KEYS = "Encryption keys"
MAKE = "`python -m adapters.temporal.key_files make FILE`, and name it with ORDERSAGA_TEMPORAL_KEYS_FILE"


async def check_keys(settings: Settings) -> list[Check]:
    """Whether they can be used, and whether an older one is still kept."""
    if settings.temporal_keys_file is None:
        return warn(KEYS, "none: Temporal keeps what orders hold in clear", MAKE)
    try:
        ids = list(read_keys(settings.temporal_keys_file))
    except KeysUnusable as error:
        return fail(KEYS, str(error), MAKE)
    older = f", {', '.join(ids[1:])} only decrypt" if ids[1:] else ""
    return ok(KEYS, f"{ids[0]} encrypts{older}")
