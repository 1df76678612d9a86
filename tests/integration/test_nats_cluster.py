"""Three nodes of NATS, each event on all of them, as in docker-compose.yml: one may die at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from adapters.bus.nats import NatsBroker, StreamShape
from adapters.bus.port import Outgoing
from devstack.stack.ports import LOOPBACK, free_port
from tests.support.brokers import NatsBus, running

pytestmark = pytest.mark.slow


class Node(NatsBus):
    """One of a cluster whose nodes know each other by `routes`."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder / name)
        self.name, self.route = name, f"{LOOPBACK}:{free_port()}"
        self.routes: list[str] = []

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        words, environ = super().command()
        routes = ",".join(f"nats://node:nodes-own@{route}" for route in self.routes)
        cluster = ["--cluster_name", "ordersaga", "--cluster", f"nats://node:nodes-own@{self.route}"]
        return [*words, "-n", self.name, *cluster, "--routes", routes], environ


# nats-py leaves a connection to a node that dies during the handshake to the garbage collector, which closes it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_what_three_nodes_acknowledged_outlives_any_of_them(tmp_path: Path) -> None:
    """Each dies in turn and comes back: nothing that was acknowledged is lost, doubled or out of order."""
    nodes = [Node(tmp_path, f"nats-{number}") for number in (1, 2, 3)]
    for node in nodes:
        node.routes = [one.route for one in nodes]
    hosts = ",".join(f"{LOOPBACK}:{node.port}" for node in nodes)
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(running(node))
        relay = NatsBroker(f"nats://relay:relays-own@{hosts}", StreamShape(replicas=3))
        reader = NatsBroker(f"nats://consumer:consumers-own@{hosts}")
        number = 0
        for node in nodes:
            number = await _publish(relay, number, number + 20)
            await node.kill()
            number = await _publish(relay, number, number + 20)
            await node.start()
        found: list[int] = []
        async with asyncio.timeout(60):
            async for batch in reader.read(0, 0):
                found += [int(one.body) for one in batch]
                if len(found) >= number:
                    break
        assert found == list(range(120))
        await relay.aclose()
        await reader.aclose()


async def _publish(relay: NatsBroker, number: int, end: int) -> int:
    """One after the other, each until it is acknowledged."""
    async with asyncio.timeout(120):
        while number < end:
            event = Outgoing(f"e{number}", 0, "ordersaga.order.placed.v1", "o1", b"%d" % number)
            if await relay.publish([event]) == [None]:
                number += 1
            else:
                await asyncio.sleep(0.1)
    return number
