"""Records the histories that the replay test guards: `python -m tests.recordings.record [NAME ...]`.

Each path is walked by a real order on real servers, and its history is written to `tests/histories/<name>.json`, with
`lean_` before the name of a lean order; without a name every path that has none yet. A history stays as long as
orders of its version may be running; a change of the workflow that is not backward compatible needs
`workflow.patched` or a new `Process`, not a new recording.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowHistory

from adapters.postgres.database import create_engine, create_sessions
from adapters.settings import Settings
from adapters.telemetry.logs import configure_logs
from adapters.temporal import client as temporal
from devstack.stack.stack import Stack
from domain.processes import Process
from services.identities.actors import Actors
from tests.recordings import cancels as recorded_cancels
from tests.recordings import days as recorded_days
from tests.recordings import faults as recorded_faults
from tests.recordings import paths as recorded_paths
from tests.recordings import payments as recorded_payments
from tests.recordings import races as recorded_races
from tests.recordings import recoveries as recorded_recoveries
from tests.recordings import refunds as recorded_refunds
from tests.recordings import repairs as recorded_repairs
from tests.recordings import texts as recorded_texts
from tests.recordings import voids as recorded_voids
from tests.support.fakes import StepFaults
from tests.support.orders import Shop
from tests.support.our_client import speaking_for_us
from tests.support.timeless import skipping_server, timeless_shop
from worker import build_activities, build_worker

LEAN = "lean_"
HISTORIES = Path(__file__).resolve().parents[1] / "histories"
PATHS: dict[str, Callable[[Shop, StepFaults], Awaitable[WorkflowHandle[Any, Any]]]] = {
    **recorded_paths.PATHS,
    **recorded_payments.PATHS,
    **recorded_cancels.PATHS,
    **recorded_races.PATHS,
    **recorded_refunds.PATHS,
    **recorded_repairs.PATHS,
    **recorded_recoveries.PATHS,
    **recorded_voids.PATHS,
    **recorded_texts.PATHS,
}
SKIPPED = {**recorded_days.PATHS, **recorded_faults.PATHS}  # walked with skipped time
MACHINE = ("identity", "stackTrace")  # the fields that name a machine or its folders


async def record(names: list[str], folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        parts = {"postgres", "temporal", "stripe", "carrier"}
        async with Stack(Path(scratch), ephemeral=True, parts=parts, carrier_clock=(1e9, 1e9)) as stack:
            settings = settings_of(stack)
            engine, actors = create_engine(settings), Actors(settings.service_secret)
            client = speaking_for_us(await temporal.connect(settings), engine, actors)
            async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                shop = Shop(stack, settings, create_sessions(engine), client, http)
                for name in names:
                    if name in PATHS:
                        save(folder, name, await walked(name, shop))
                if skipped := [name for name in names if name in SKIPPED]:
                    await record_skipped(skipped, folder, shop)
            await engine.dispose()


async def record_skipped(names: list[str], folder: Path, shop: Shop) -> None:
    """Each on a Stripe of its own, whose clock it moves."""
    async with skipping_server() as env:
        for name in names:
            with tempfile.TemporaryDirectory() as scratch:
                async with (
                    Stack(Path(scratch), ephemeral=True, parts={"stripe"}, migrate=False) as stripe,
                    timeless_shop(env, shop.stack, shop.settings, shop.sessions, stripe) as timeless,
                ):
                    save(folder, name, await ended(await SKIPPED[name](timeless)))


def settings_of(stack: Stack) -> Settings:
    """Settings that name the stack, whatever the shell says."""
    values = {name.removeprefix("ORDERSAGA_").lower(): value for name, value in stack.environment.items()}
    known: dict[str, Any] = {name: value for name, value in values.items() if name in Settings.model_fields}
    return Settings(**known | {"temporal_keys_file": None})  # a recording is read by people, and has nothing to hide


async def walked(name: str, shop: Shop) -> WorkflowHistory:
    """The history of an order on that path."""
    faults = StepFaults()
    async with (
        build_activities(shop.settings) as activities,
        build_worker(shop.client, shop.settings, activities, interceptors=[faults]),
    ):
        return await ended(await PATHS[name](shop, faults))


async def ended(handle: WorkflowHandle[Any, Any]) -> WorkflowHistory:
    with suppress(WorkflowFailureError):  # closed as CANCELED: an end like any other
        await asyncio.wait_for(handle.result(), 120)
    return await handle.fetch_history()


def is_recorded(name: str) -> bool:
    """Whether the path has a history of today's process; those of orders from before stay beside it."""
    plain = HISTORIES / f"{name}.json"
    return (HISTORIES / f"{LEAN}{name}.json").exists() or (plain.exists() and not is_order(plain))


def is_order(file: Path) -> bool:
    return '"OrderFulfillment"' in file.read_text()  # which names no other workflow's events


def _prefix(history: WorkflowHistory) -> str:
    """By the workflow's input, in which an order from before says nothing."""
    started = history.events[0].workflow_execution_started_event_attributes
    given = json.loads(started.input.payloads[0].data)
    return LEAN if isinstance(given, dict) and given.get("process") == Process.LEAN else ""


def save(folder: Path, name: str, history: WorkflowHistory) -> None:
    """One event a line: small, and readable in a diff."""
    name = _prefix(history) + name
    events = [json.dumps(clean(event), separators=(",", ":"), sort_keys=True) for event in _events(history)]
    (folder / f"{name}.json").write_text('{"events":[\n' + ",\n".join(events) + "\n]}\n")
    sys.stdout.write(f"{name}: {len(events)} events\n")


def _events(history: WorkflowHistory) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = history.to_json_dict()["events"]
    return events


def clean(value: Any) -> Any:
    """Without what names the machine that recorded it."""
    if isinstance(value, list):
        return [clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "TASK_QUEUE_KIND_STICKY":
        return {**value, "name": "sticky"}
    return {key: clean(item) for key, item in value.items() if key not in MACHINE}


def main(names: list[str]) -> None:
    known = [*PATHS, *SKIPPED]
    if unknown := set(names) - set(known):
        sys.exit(f"unknown paths {sorted(unknown)}; there are {sorted(known)}")
    configure_logs("warning", "console")
    HISTORIES.mkdir(exist_ok=True)
    missing = [name for name in known if not is_recorded(name)]
    asyncio.run(record(names or missing, HISTORIES))


if __name__ == "__main__":
    main(sys.argv[1:])
