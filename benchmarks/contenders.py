"""What is compared: how each contender carries one order, and from where it is driven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from benchmarks.database_steps import DatabaseSteps
from benchmarks.errors import BenchmarkFailed
from benchmarks.load import Shift
from benchmarks.our_saga import OUR_QUEUE, Empty, OurSaga
from benchmarks.plain_saga import PLAIN_QUEUE, PlainOrder, PlainSaga
from domain.commands import OrderRef


@dataclass(frozen=True)
class Entry:
    """A contender of the table. `together` puts client and worker into one process."""

    name: str
    kind: str
    says: str
    together: bool = False
    by_default: bool = True
    own_station: str = ""  # where neither of the usual two places its orders

    @property
    def station(self) -> str:
        """The process that places its orders."""
        return self.own_station or ("worker" if self.together else "load")


BASELINE = "plain"
SHIPPED = "service, ready to ship"  # further rows of the service: the same orders, followed further,
TAKEN = "service, once taken on"  # and without the time in which an order was put off (503)
FURTHER = (SHIPPED, TAKEN)

ENTRIES = (
    Entry("empty", "empty", "an empty workflow, start and result: the engine's limit"),
    Entry("plain", "plain", "three ordinary activities and a list of compensations; start and result"),
    Entry("plain, one process", "plain", "the same, client and worker in one process", together=True),
    Entry("ours", "ours", "this service's `Saga` on the same steps: local activities first; update-with-start"),
    Entry("ours, eager start", "eager", "the same, eager start; client and worker in one process", together=True),
    Entry("service", "service", "the whole service: `POST /api/orders` until its 201"),
)


class Contender(Protocol):
    async def place(self, order_id: str) -> str:
        """Carries one order until its answer; returns what it is known by afterwards."""
        ...

    async def settle(self, shift: Shift) -> list[Shift]:
        """Comes back when nothing of the shift is left to do; what else is known of the same orders, as `FURTHER`.

        Raises BenchmarkFailed unless every order left its effects once.
        """
        ...

    def workflow_id(self, key: str) -> str: ...


class _Engine:
    """Without the service around it: the answer is the end."""

    def __init__(self, client: Client, steps: DatabaseSteps) -> None:
        self._client = client
        self._steps = steps

    async def settle(self, shift: Shift) -> list[Shift]:
        await self._steps.check(shift.keys)
        return []

    def workflow_id(self, key: str) -> str:
        return key


class EmptyWorkflow(_Engine):
    async def place(self, order_id: str) -> str:
        await self._client.execute_workflow(Empty.run, id=order_id, task_queue=OUR_QUEUE)
        return order_id

    async def settle(self, shift: Shift) -> list[Shift]:
        return []


class Plain(_Engine):
    async def place(self, order_id: str) -> str:
        order = PlainOrder(order_id)
        handle = await self._client.start_workflow(PlainSaga.run, order, id=order_id, task_queue=PLAIN_QUEUE)
        return _completed(order_id, await handle.result())


class Ours(_Engine):
    """Started as `api/orders/checkout.py` starts an order."""

    async def place(self, order_id: str) -> str:
        start = WithStartWorkflowOperation(
            OurSaga.run,
            OrderRef(order_id=order_id),
            id=order_id,
            task_queue=OUR_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
        status = await self._client.execute_update_with_start_workflow(
            OurSaga.checkout, start_workflow_operation=start, id="checkout"
        )
        return _completed(order_id, status)


class OursEager(_Engine):
    """The first task comes back with the start: only where a worker lives in the client's process."""

    async def place(self, order_id: str) -> str:
        status = await self._client.execute_workflow(
            OurSaga.run,
            OrderRef(order_id=order_id),
            id=order_id,
            task_queue=OUR_QUEUE,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            request_eager_start=True,
        )
        return _completed(order_id, status)


def _completed(order_id: str, status: str) -> str:
    if status != "COMPLETED":
        raise BenchmarkFailed(f"{order_id} ended {status}")
    return order_id


def chosen(names: Sequence[str], among: Sequence[Entry] = ENTRIES) -> list[Entry]:
    """The entries of these names; without any, those of a default run. Raises BenchmarkFailed for another name."""
    known = {entry.name.replace(",", "").replace(" ", "-"): entry for entry in among}
    if unknown := [name for name in names if name not in known]:
        raise BenchmarkFailed(f"no contender {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else [entry for entry in among if entry.by_default]
