"""Asks the brake before an order is turned back by our own fault."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.brake.brake import Brakes
    from domain.brake import EndsByOurFault
    from domain.errors import ENDS_BY_OUR_FAULT
    from workflows.saga.saga import Brake, Saga
    from workflows.saga.steps import StepFailed


class OrderBrake(Brake):
    """The brake, for one order. A customer's refusal is never held: only what is our own fault asks."""

    def __init__(self, order_id: str) -> None:
        self._order_id = order_id
        self._turns = 0

    async def holds(self, saga: Saga, failed: StepFailed) -> bool:
        """Waits while the brake is on; True when it held the order, so that the step is tried again."""
        if failed.code not in ENDS_BY_OUR_FAULT or not workflow.patched("ask-the-brake"):
            return False
        self._turns += 1
        end = EndsByOurFault(order_id=self._order_id, turn=self._turns, step=failed.step, code=failed.code)
        return (await saga.step(Brakes.ask_brake, end, attended=False)).try_again
