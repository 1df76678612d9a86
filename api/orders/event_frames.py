"""Timeline rows as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from api.orders.schemas import TimelineRow
from domain.order_states import FINAL
from services.insight.orders import Entry, Timeline


class Rows:
    """The rows of one order that were read together: each is written once, for all of the order's listeners."""

    def __init__(self, timeline: Timeline | None) -> None:
        """`timeline` is None for an order that does not exist."""
        self.timeline = timeline
        entries = timeline.entries if timeline else []
        self._frames = [(entry["sequence"], frame(entry)) for entry in entries]
        self._joined: dict[int, bytes] = {}
        self.last: int = entries[-1]["sequence"] if entries else 0

    @property
    def are_all(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.timeline is None or self.timeline.status in FINAL

    def after(self, position: int) -> bytes:
        """What a client that has the rows up to `position` does not have."""
        if position not in self._joined:
            self._joined[position] = b"".join(frame for sequence, frame in self._frames if sequence > position)
        return self._joined[position]


def frame(entry: Entry) -> bytes:
    """One row: its sequence is the event's id, by which a client resumes."""
    row = TimelineRow.model_validate(entry)
    return f"id: {row.sequence}\ndata: {row.model_dump_json(by_alias=True)}\n\n".encode()
