"""The broker's faults do what they say: on the real one, with its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nats.aio.client import Client

from chaos.event_books import read_mails, read_stream
from chaos.lost_tail import lose_tail
from devstack.stack.ports import LOOPBACK
from devstack.stack.stack import Stack

RELAY_STREAM = {"name": "ORDERSAGA", "subjects": ["ev.>"], "storage": "file"}


async def test_a_broker_that_lost_its_tail_has_what_it_had_before(tmp_path: Path) -> None:
    """What it acknowledged during the fault is gone, what came before is there, and it takes new events."""
    async with Stack(tmp_path, parts={"nats"}, migrate=False) as stack:
        await _publish(stack, "a", 1)

        async def meanwhile() -> None:
            await _publish(stack, "a", 2)
            assert [row["sequence"] for row in await read_stream(stack.urls.nats)] == [1, 2]

        assert (await lose_tail(stack, meanwhile)).events == 1
        assert [row["sequence"] for row in await read_stream(stack.urls.nats)] == [1]
        await _publish(stack, "b", 1)
        (first, second) = await read_stream(stack.urls.nats)
    assert (first["subject"], first["partition"], first["event_id"]) == ("a", 3, "a-1")
    assert (second["position"], second["subject"], second["incarnation"]) == (2, "b", first["incarnation"])


async def _publish(stack: Stack, subject: str, sequence: int) -> None:
    """As the relay's user, who makes the stream; comes back with the acknowledgment."""
    client = Client()
    password = stack.secrets.nats_relay_password
    await client.connect(f"nats://{LOOPBACK}:{stack.ports.nats}", user="relay", password=password)
    event = {"id": f"{subject}-{sequence}", "type": "t", "source": "/s", "subject": subject, "data": {}}
    body = json.dumps({**event, "sequence": f"{sequence:010d}"}).encode()
    await client.request("$JS.API.STREAM.CREATE.ORDERSAGA", json.dumps(RELAY_STREAM).encode(), timeout=10)
    answer = await client.request("ev.3.t", body, timeout=10)
    assert "error" not in json.loads(answer.data)
    await client.close()


@pytest.mark.parametrize("name", ["000000001-placed-e.eml", "000000001-placed-e.part"])
def test_reads_whole_messages_only(tmp_path: Path, name: str) -> None:
    """A file that is being written is not there yet."""
    (tmp_path / name).write_text("To: a@example.com\nX-Order-Id: one\nX-Message-Kind: placed\n\nX-Order-Id: no\n")
    is_whole = name.endswith(".eml")
    assert read_mails(tmp_path) == ([{"order_id": "one", "kind": "placed"}] if is_whole else [])
