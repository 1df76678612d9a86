"""By which form of its process an order's workflow runs: fixed when the order begins, for as long as it lives.

A workflow follows its history: a change of what it asks of its engine must leave the orders that run as they began.
A field of the workflow's input tells them apart and costs nothing, while `workflow.patched` writes two history events
into each order (docs/decisions/0025-fewer-events.md).
"""

from __future__ import annotations

from enum import IntEnum


class Process(IntEnum):
    """The forms; a worker that does not know one cannot read the input, and leaves the order to a newer worker."""

    FIRST = 1
    LEAN = 2  # fewer history events: short steps inside the worker, no timer for a step that is done at once


NEWEST = Process.LEAN
"""Of orders that begin now. Workers that know it have to run before anything starts orders with it."""
