"""The servers that all workers of the suite share: each has a part of its own, and nothing outlives the suite."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from temporalio.client import Client

from adapters.temporal.namespace import check_search_attributes
from tests.support.shared_servers import Share, SharedServers
from tests.support.warm_interpreter import PROJECT
from workflows.order import search_attributes

HOLD = """
import sys, threading
from pathlib import Path
from tests.support.shared_servers import SharedServers
print(SharedServers(Path(sys.argv[1]), 2).address, flush=True)
threading.Event().wait()
"""


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedServers]:
    shared = SharedServers(tmp_path, 2)
    yield shared
    shared.close()


async def test_each_worker_has_a_database_and_a_namespace_of_its_own(shared: SharedServers) -> None:
    """Both with the schema; what one writes, the other does not see."""
    shares = [await Share(shared.address, worker).servers() for worker in ("gw0", "gw1")]
    first, second = [await asyncpg.connect(share["DATABASE_URL"], ssl=False) for share in shares]
    await first.execute(
        "INSERT INTO customers (customer_id, name, email, created_at) VALUES ('mine', 'M', 'm@example.com', now())"
    )
    counts = [await one.fetchval("SELECT count(*) FROM customers") for one in (first, second)]
    assert counts == [1, 0]
    for connection in (first, second):
        await connection.close()
    assert [share["TEMPORAL_NAMESPACE"] for share in shares] == ["gw0", "gw1"]
    for share in shares:
        namespace = share["TEMPORAL_NAMESPACE"]
        client = await Client.connect(share["TEMPORAL_ADDRESS"], namespace=namespace)
        await check_search_attributes(client, [key.name for key in search_attributes.ALL])


def test_nothing_outlives_a_suite_that_was_killed(tmp_path: Path) -> None:
    """Neither the servers nor the interpreter."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as suite:
        assert suite.stdout is not None
        asyncio.run(_start(Share(suite.stdout.readline().strip(), "gw0")))
        parts = psutil.Process(suite.pid).children()
        suite.kill()
    gone, alive = psutil.wait_procs(parts, timeout=30)
    assert (len(gone), alive) == (3, [])


async def _start(share: Share) -> None:
    await share.servers()
    await share.interpreter()
