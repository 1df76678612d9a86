"""Orders that run today go on with the code of tomorrow: recorded histories are replayed.

A failure here means that running orders would get stuck. Either the change is undone, or it goes behind
`workflow.patched`; `python -m tests.record_histories` is for new paths only.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from activities.inventory import Inventory
from activities.payments import Payments
from activities.shipping import Shipping
from domain.commands import FulfillOrder
from domain.order_states import OrderStatus
from tests.record_histories import HISTORIES, PATHS
from worker import workflow_runner
from workflows.order_fulfillment import OrderFulfillment
from workflows.order_refund import OrderRefund

RECORDED = sorted(HISTORIES.glob("*.json"))


def _history(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(f"order-{file.stem}", file.read_text())


async def _replay(workflow_classes: list[type], history: WorkflowHistory) -> Exception | None:
    """What was wrong, as a worker of production would find it."""
    replayer = Replayer(
        workflows=workflow_classes, data_converter=pydantic_data_converter, workflow_runner=workflow_runner()
    )
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    return result.replay_failure


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
async def test_a_recorded_order_replays(file: Path) -> None:
    """Today's workflow makes the same decisions from the same history."""
    assert await _replay([OrderFulfillment, OrderRefund], _history(file)) is None


def test_every_main_path_is_recorded() -> None:
    """Each path of `recorded_paths.py` has its history, whole to the order's end; one was taken while it was open."""
    assert {file.stem for file in RECORDED} >= set(PATHS)
    ends = Counter(json.loads(file.read_text())["events"][-1]["eventType"] for file in RECORDED)
    assert ends.pop("EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED") == 1
    assert set(ends) == {"EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED", "EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED"}


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_a_history_names_no_machine(file: Path) -> None:
    """Recordings are part of the repository: no host, no folder, no personal data of the one who made them."""
    text = file.read_text()
    assert not [word for word in ("@", "site-packages", "identity", "stackTrace") if word in text]


@workflow.defn(name="OrderFulfillment", sandboxed=False)
class WithAnExtraTimer(OrderFulfillment):
    """Somebody added a pause before shipping."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        super().__init__(order)

    async def _wait_until_it_may_ship(self) -> None:
        await workflow.sleep(1)
        await super()._wait_until_it_may_ship()

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        return await super().run(order)


@workflow.defn(name="OrderFulfillment", sandboxed=False)
class WithStepsSwapped(OrderFulfillment):
    """Somebody takes the money before the label is bought."""

    @workflow.init
    def __init__(self, order: FulfillOrder) -> None:
        super().__init__(order)

    async def _fulfil(self) -> None:
        await self.saga.local_first(Inventory.reserve_inventory, undo=Inventory.release_inventory)
        self.progress.reached(OrderStatus.RESERVED, "stock reserved")
        await self.saga.local_first(Payments.authorize_payment, undo=Payments.return_payment)
        self.progress.reached(OrderStatus.CONFIRMED, "payment authorized")
        await self.saga.step(Payments.capture_payment)
        await self.saga.step(Shipping.ship_order, undo=Shipping.cancel_shipment)

    @workflow.run
    async def run(self, order: FulfillOrder) -> OrderStatus:
        return await super().run(order)


@pytest.mark.parametrize("changed", [WithAnExtraTimer, WithStepsSwapped])
async def test_a_changed_workflow_is_caught(changed: type) -> None:
    """The replay is worth something: a change that would break running orders does not pass."""
    failure = await _replay([changed], _history(HISTORIES / "delivered.json"))
    assert isinstance(failure, NondeterminismError)
