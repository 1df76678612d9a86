"""`--profile`: where the whole flow's CPU goes, in the worker and in the API, written to `build/`."""

from __future__ import annotations

import asyncio
import marshal
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from rich.console import Console

from benchmarks.errors import BenchmarkFailed
from benchmarks.hotspots import told
from benchmarks.processes import PROJECT, StationProcess, tied
from benchmarks.service import PARCELS_STAY
from devstack.stack.stack import Stack

WARM_UP = 20  # orders, which do not count
PATIENCE = 60.0  # seconds for an answer: a profiled service is slow, above all at its first orders
READY_WITHIN = 60.0  # seconds
STOPS_WITHIN = 30.0  # seconds


async def profile(orders: int, at_once: int, build: Path, out: Console) -> int:
    """Places the orders at a service under the profiler; the reports end up in `build`."""
    out.print(f"{orders} orders, {at_once} at once, through a profiled API and worker ...", highlight=False)
    with tempfile.TemporaryDirectory(prefix="ordersaga-profile-", ignore_cleanup_errors=True) as folder:
        parts = ("postgres", "temporal", "stripe", "carrier", "relay")
        async with Stack(Path(folder), parts=parts, carrier_clock=PARCELS_STAY) as stack:
            files = {role: Path(folder) / f"{role}.prof" for role in ("worker", "api")}
            async with AsyncExitStack() as running:
                pids = [
                    await running.enter_async_context(_profiled(role, file, stack)) for role, file in files.items()
                ]
                await _ready(stack.urls.api)
                log = stack.folder / "logs" / "station.log"
                load = await running.enter_async_context(StationProcess("load", at_once, stack.environment, log))
                await load.tell("prepare")
                await _place(load, "warm-up", WARM_UP, 1)
                for pid in pids:
                    os.kill(pid, signal.SIGUSR1)
                seconds = await _place(load, "order", orders, at_once)
            # The profiles are written when the services have ended.
            out.print(f"{seconds:.1f} s until all were ready to ship (under a profiler, which slows it down)")
            for role, file in files.items():
                raw = file.read_bytes()
                text = told(role, marshal.loads(raw), orders)  # noqa: S302  # our own profile
                _write(build / f"profile-{role}", text, raw)
                out.print(text, markup=False, highlight=False, soft_wrap=True)
    out.print("written to build/profile-worker.txt and build/profile-api.txt", highlight=False)
    return 0


@asynccontextmanager
async def _profiled(role: str, file: Path, stack: Stack) -> AsyncIterator[int]:
    """The worker or the API in place of the stack's own, known by its process id.

    Raises BenchmarkFailed when it leaves no profile.
    """
    command = tied([sys.executable, "-m", "benchmarks.profiled", role, str(file), str(stack.ports.api)])
    environment = stack.environment | {"ORDERSAGA_CHECKOUT_BUDGET": str(PATIENCE)}
    log = stack.folder / "logs" / f"profiled-{role}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=PROJECT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), STOPS_WITHIN)
        _require(file, log)


def _require(file: Path, log: Path) -> None:
    if not file.exists():
        said = log.read_text(errors="replace")[-1500:]
        raise BenchmarkFailed(f"no {file.name} was left; the process said last:\n{said}")


def _write(name: Path, text: str, raw: bytes) -> None:
    """The report, and beside it the profile itself, for `python -m pstats`."""
    name.parent.mkdir(parents=True, exist_ok=True)
    name.with_suffix(".txt").write_text(text)
    name.with_suffix(".prof").write_bytes(raw)


async def _ready(api: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    async with httpx.AsyncClient(base_url=api, trust_env=False) as client:
        while time.monotonic() < deadline:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise BenchmarkFailed("the profiled API does not get ready")


async def _place(load: StationProcess, name: str, orders: int, at_once: int) -> float:
    """Seconds until every order is ready to ship."""
    order_ids = [f"profile-{name}-{number}" for number in range(orders)]
    await load.tell("place", kind="service", order_ids=order_ids, at_once=at_once)
    return float((await load.tell("settle"))[0]["seconds"])
