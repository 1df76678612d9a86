"""How often the tests' own processes look for garbage."""

from __future__ import annotations

import subprocess
import sys

from tests.support.garbage import NEW_OBJECTS

LOOK = """
import gc
from tests.support.garbage import collect_less_often
class Ring: pass
ring = Ring(); ring.itself = ring
collect_less_often()
left = gc.get_freeze_count()
later = Ring(); later.itself = later; del later
print(gc.get_threshold()[0], left > 1_000, any(isinstance(one, Ring) for one in gc.get_objects()))
gc.collect()
print(any(isinstance(one, Ring) for one in gc.get_objects()))
"""


def test_garbage_is_looked_for_less_often_and_not_among_what_was_imported() -> None:
    """What was there is out of sight; a cycle that comes later is still found."""
    said = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(NEW_OBJECTS), "True", "True", "False"]
