"""A page that follows its order through broken streams: what counts as heard, and where it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaos.journal import Journal, read
from chaos.listeners import OF, Listeners
from devstack.stack.ports import LOOPBACK, free_port
from tests.support.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
OVER = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
AWAY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def event(sequence: int, to: str) -> bytes:
    row = {"sequence": sequence, "at": "2026-11-20T10:00:00Z", "from": None, "to": to, "what": "told"}
    return f"id: {sequence}\ndata: {json.dumps(row)}\n\n".encode()


class Api:
    """Gives one answer after the other, and ends the connection after each; `asked` are the Last-Event-IDs."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.asked: list[str | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        given = [line.partition(":")[2].strip() for line in head.splitlines() if line.startswith("last-event-id:")]
        self.asked.append(given[0] if given else None)
        writer.write(self._answers.pop(0))
        await writer.drain()
        writer.close()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    with Journal(tmp_path / "journal.jsonl") as journal:
        yield journal


async def test_goes_on_behind_the_last_whole_event(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was cut off in the middle was not heard, and comes again; a comment is no event; 204 is the end."""
    monkeypatch.setattr("chaos.listeners.PAUSE", 0.0)
    cut = HEAD + event(1, "PLACED") + b": ping\n\n" + event(2, "RESERVED")[:-1]
    api = Api(cut, AWAY, HEAD + event(2, "RESERVED") + event(3, "REJECTED"), OVER)
    port = free_port()
    async with await asyncio.start_server(api.serve, LOOPBACK, port):
        listeners = Listeners(f"http://{LOOPBACK}:{port}", journal)
        for number in range(OF * 20):
            listeners.follow(f"key-{number}", "an order")  # some key among them has a page, and no second one

        async def following() -> int:
            return listeners.still_following({"an order"})

        await until(following, 0)
        assert listeners.still_following({"an order"}) == 0
        await listeners.aclose()
    told = read(journal.path)
    assert [entry["kind"] for entry in told] == ["listening", "heard", "heard", "heard", "left"]
    assert [(one["sequence"], one["to"]) for one in told[1:4]] == [(1, "PLACED"), (2, "RESERVED"), (3, "REJECTED")]
    assert api.asked == [None, "1", "1", "3"]
    assert (listeners.count, listeners.streams) == (1, 2)
