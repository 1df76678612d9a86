"""Tells, in plain lines, how the parts of a stack come up, die and come back."""

import time

from devstack.stack.process import PartState

NAMES = {
    "postgres": "PostgreSQL",
    "migrations": "Database schema",
    "temporal": "Temporal server and Web UI",
    "nats": "NATS",
    "stripe": "Stripe simulator",
    "carrier": "Carrier simulator",
    "api": "API",
    "worker": "Worker",
    "relay": "Relay",
}


class Progress:
    """An observer of a stack."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._ready: set[str] = set()
        self._stopping = False

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def stopping(self) -> None:
        self._stopping = True

    def __call__(self, part: str, state: PartState) -> None:
        name = NAMES.get(part, part)
        if state is PartState.READY and part not in self._ready:
            self._ready.add(part)
            print(f"  {name:<28}ready after {self.seconds:4.1f} s", flush=True)
        elif state is PartState.READY:
            print(f"  {name:<28}is back", flush=True)
        elif state is PartState.DIED and not self._stopping:
            print(f"  {name:<28}died, starting it again", flush=True)
