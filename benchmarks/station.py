"""A process of the benchmark that places orders on command: `python -m benchmarks.station worker|load`.

The station `worker` also runs the workers of the engine contenders, so that client and worker can share a process.
Commands come as lines of JSON on standard input, answers go to standard output; the end of the input ends it.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, cast

import uvloop
from temporalio.client import Client
from temporalio.worker import Worker

from adapters.settings import Settings
from adapters.temporal import client as temporal
from benchmarks.contenders import Contender, EmptyWorkflow, Ours, OursEager, Plain
from benchmarks.conversation import answers_alone, converse
from benchmarks.database_steps import DatabaseSteps, open_steps
from benchmarks.load import Shift, drive
from benchmarks.our_saga import OUR_QUEUE, Empty, OurActivities, OurSaga
from benchmarks.plain_saga import PLAIN_QUEUE, PlainActivities, PlainSaga
from benchmarks.service import Service, open_service
from worker import Activities, build_worker

SAMPLE = 5  # workflows of a shift whose history is looked at


class Station:
    """Does one command after the other. `settle` and `look` are about the orders placed last."""

    def __init__(self, contenders: dict[str, Contender], service: Service, client: Client) -> None:
        self._contenders = contenders
        self._service = service
        self._client = client
        self._contender: Contender
        self._shift: Shift

    async def obey(self, command: dict[str, Any]) -> Any:
        match command:
            case {"do": "prepare"}:
                return await self._service.prepare()
            case {"do": "place", "kind": kind, "order_ids": order_ids, "at_once": at_once}:
                self._contender = self._contenders[kind]
                self._shift = await drive(self._contender.place, order_ids, at_once)
                return asdict(self._shift)
            case {"do": "settle"}:
                return [asdict(further) for further in await self._contender.settle(self._shift)]
            case {"do": "look"}:
                return await self._events()
        raise ValueError(f"no such command: {command}")

    async def _events(self) -> float:
        """The median number of history events of the last workflows."""
        ids = [self._contender.workflow_id(key) for key in self._shift.keys[-SAMPLE:]]
        found = [await self._client.get_workflow_handle(workflow_id).describe() for workflow_id in ids]
        return statistics.median(workflow.history_length for workflow in found)


def our_worker(client: Client, settings: Settings, steps: DatabaseSteps) -> Worker:
    """A worker with the service's own settings, whatever these come to be, for the benchmark's workflows."""
    activities = cast(Activities, OurActivities(steps))  # it has all that build_worker asks for
    template = build_worker(client, settings.model_copy(update={"task_queue": "bench-template"}), activities)
    config = template.config()
    config["task_queue"], config["workflows"] = OUR_QUEUE, [OurSaga, Empty]
    return Worker(**config)


def plain_worker(client: Client, steps: DatabaseSteps) -> Worker:
    """A worker as the SDK makes it."""
    return Worker(client, task_queue=PLAIN_QUEUE, workflows=[PlainSaga], activities=PlainActivities(steps).all())


@asynccontextmanager
async def open_station(settings: Settings, role: str, at_once: int) -> AsyncIterator[Station]:
    plain = await Client.connect(settings.temporal_address, namespace=settings.temporal_namespace)
    ours = await temporal.connect(settings)
    database_url = settings.database_url.get_secret_value()
    async with AsyncExitStack() as stack:
        steps = await stack.enter_async_context(open_steps(database_url))
        folder = Path(settings.identity_jwks).parent
        service = await stack.enter_async_context(open_service(settings.public_url, database_url, at_once, folder))
        if role == "worker":
            await stack.enter_async_context(plain_worker(plain, steps))
            await stack.enter_async_context(our_worker(ours, settings, steps))
        contenders: dict[str, Contender] = {
            "empty": EmptyWorkflow(ours, steps),
            "plain": Plain(plain, steps),
            "ours": Ours(ours, steps),
            "eager": OursEager(ours, steps),
            "service": service,
        }
        yield Station(contenders, service, ours)


async def run(role: str, at_once: int, answers: IO[str]) -> None:
    async with open_station(Settings(), role, at_once) as station:
        await converse(station.obey, answers)


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], int(sys.argv[2]), answers_alone()))
    os._exit(0)  # as worker.py does: the SDK's threads may abort the interpreter's own way out
