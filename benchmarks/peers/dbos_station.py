"""The station of DBOS: `python -m benchmarks.peers.dbos_station` in the peers' environment.

Client, workflows and engine are one process, because that is what DBOS is: a library in the application, whose
checkpoints go to PostgreSQL.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import uvloop
from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSConfig

from benchmarks.conversation import answers_alone, converse
from benchmarks.database_steps import POOL, open_steps
from benchmarks.peers.dbos_saga import DbosPeer, step_saga, transaction_saga
from benchmarks.peers.peer_station import PeerStation


def config(database_url: str) -> DBOSConfig:
    """The defaults (pool of 20, notifications by LISTEN), with a system database of its own on the same server."""
    own = urlsplit(database_url)._replace(path="/bench_dbos_sys").geturl()
    return {"name": "bench-peers", "system_database_url": own, "log_level": "WARNING"}


@asynccontextmanager
async def open_station(database_url: str) -> AsyncIterator[PeerStation]:
    async with open_steps(database_url) as steps:
        DBOS(config=config(database_url))
        pool = {"pool_size": POOL, "max_overflow": 0}
        source = await AsyncSQLAlchemyDatasource.create(database_url, engine_kwargs=pool)
        peers = {"dbos": DbosPeer(step_saga(steps)), "dbos-transactions": DbosPeer(transaction_saga(source))}
        DBOS.launch()  # recovers what a former process left behind
        try:
            yield PeerStation(peers, steps)
        finally:
            DBOS.destroy()


async def run() -> None:
    answers = answers_alone()
    async with open_station(os.environ["DATABASE_URL"]) as station:
        await converse(station.obey, answers)


if __name__ == "__main__":
    uvloop.run(run())
