"""The API as a process of its own, which a test may kill in the middle of a request."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from devstack.stack.ports import LOOPBACK, free_port
from devstack.stack.stack import Stack
from tests.support.identities import Anybody
from tests.support.waiting import until
from tests.support.warm_interpreter import PROJECT, Call, WarmProcess, warm


class ApiProcess:
    def __init__(self, process: WarmProcess, client: httpx.AsyncClient) -> None:
        self.process, self.client = process, client

    async def kill(self) -> None:
        """As `kill -9` does: nothing that it does ends in good order."""
        self.process.send(signal.SIGKILL)
        await self.process.ended()


@asynccontextmanager
async def api_process(stack: Stack, folder: Path, **environ: str) -> AsyncIterator[ApiProcess]:
    """One that answers, with the stack's settings and those given; it is killed at the end."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    environment = stack.environment_of("api") | {"ORDERSAGA_PUBLIC_URL": url} | environ
    words = ["-m", "uvicorn", "--factory", "api.app:create_app", "--port", str(port)]
    log = folder / f"api-{port}.log"
    process = await warm.start(Call(words, str(PROJECT), environment, os.devnull, str(log)))
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, auth=Anybody()) as client:
        try:
            await until(lambda: _is_ready(process, client, log), True, 60)
            yield ApiProcess(process, client)
        finally:
            await process.close()


async def _is_ready(process: WarmProcess, client: httpx.AsyncClient, log: Path) -> bool:
    assert process.running, f"it has ended: {log}"
    try:
        return (await client.get("/readyz")).is_success
    except httpx.TransportError:
        return False


async def tried(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], key: str | None = None
) -> httpx.Response | None:
    """The answer to a POST; None where there is none, because the process was killed."""
    try:
        return await client.post(path, json=body, headers={"Idempotency-Key": key} if key else {})
    except httpx.TransportError:
        return None
