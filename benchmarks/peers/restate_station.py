"""The clients of Restate: `python -m benchmarks.peers.restate_station` in the peers' environment."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import restate
import uvloop
from restate.client_types import RestateClient

from benchmarks.conversation import answers_alone, converse
from benchmarks.database_steps import open_steps
from benchmarks.errors import BenchmarkFailed
from benchmarks.peers.peer_station import PeerStation

_ENTRIES = """
    SELECT count(*) AS entries FROM sys_journal
    JOIN sys_invocation ON sys_journal.id = sys_invocation.id WHERE sys_invocation.idempotency_key = '{}'
"""


class RestatePeer:
    """Calls the handler through the ingress under an idempotency key, with the SDK's own client."""

    def __init__(self, client: RestateClient, admin: httpx.AsyncClient) -> None:
        self._client = client
        self._admin = admin

    async def place(self, order_id: str) -> str:
        body = json.dumps(order_id).encode()
        as_json = {"Content-Type": "application/json"}
        answer = await self._client.generic_call("Orders", "place", body, idempotency_key=order_id, headers=as_json)
        if json.loads(answer) != "COMPLETED":
            raise BenchmarkFailed(f"{order_id} ended {answer!r}")
        return order_id

    async def entries(self, order_id: str) -> int:
        query = {"query": _ENTRIES.format(order_id)}
        answer = await self._admin.post("/query", json=query, headers={"Accept": "application/json"})
        answer.raise_for_status()
        return int(answer.json()["rows"][0]["entries"])


@asynccontextmanager
async def open_station(database_url: str, ingress: str, admin: str) -> AsyncIterator[PeerStation]:
    async with (
        open_steps(database_url, connections=1) as steps,
        restate.create_client(ingress) as client,
        httpx.AsyncClient(base_url=admin) as questions,
    ):
        yield PeerStation({"restate": RestatePeer(client, questions)}, steps)


async def run() -> None:
    answers = answers_alone()
    places = (os.environ[name] for name in ("DATABASE_URL", "BENCH_RESTATE_INGRESS", "BENCH_RESTATE_ADMIN"))
    async with open_station(*places) as station:
        await converse(station.obey, answers)


if __name__ == "__main__":
    uvloop.run(run())
