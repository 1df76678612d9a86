"""Serves the saga to Restate's server: `python -m benchmarks.peers.restate_handlers PORT` in the peers' environment.

Over HTTP/2, so that a step's result and the server's acknowledgment travel on the stream that is open already. The
settings are those that Restate's documentation gives for production, but for the number of processes: one, as every
contender has one worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import restate
import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config

from benchmarks.database_steps import open_steps
from benchmarks.peers.restate_saga import order_service

UNLIMITED = 2147483647


def config(port: int) -> Config:
    found = Config()
    found.bind = [f"127.0.0.1:{port}"]
    found.h2_max_concurrent_streams = UNLIMITED
    found.keep_alive_max_requests = UNLIMITED
    found.keep_alive_timeout = UNLIMITED
    return found


async def run(port: int) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with open_steps(os.environ["DATABASE_URL"]) as steps:
        app = restate.app(services=[order_service(steps)])
        await serve(app, config(port), shutdown_trigger=ended.wait)


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1])))
