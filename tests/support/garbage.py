"""How often the tests' own processes look for garbage; services do as Python does, where it made no difference."""

from __future__ import annotations

import gc

NEW_OBJECTS = 10_000  # between two looks; Python's own 700 is for small programs


def collect_less_often() -> None:
    """Lets Python look for unreachable cycles less often, and never among what exists by now.

    It is for the time after the imports: these stay for good, and each full look would go through all of them. Most
    objects do not wait for it: they end with their last reference.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS)
