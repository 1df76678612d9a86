"""What the shop was told, one JSON object a line: the book that neither the service nor a far end writes.

| kind | fields |
|---|---|
| product | productId, onHand: what was there at the beginning |
| sent | key, course: a checkout that is about to be sent |
| answer | key, status, orderId, orderStatus, code: the answer of a checkout |
| cancel | orderId, status, decision, code: the answer to a cancel |
| listening | orderId: a page that shows the order has been opened |
| heard | orderId, sequence, to: a row of its timeline that it was sent |
| left | orderId: it was told that nothing comes any more |
| hand | orderId, paymentIntent, act, status: what somebody did at Stripe's dashboard; status null without an answer |
"""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Journal:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, kind: str, **fields: Any) -> None:
        self._file.write(json.dumps({"kind": kind, "at": time.time(), **fields}) + "\n")
        self._file.flush()


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
