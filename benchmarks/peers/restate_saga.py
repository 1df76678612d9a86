"""The saga as Restate has it: a service handler that journals each step by `ctx.run_typed`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import restate

from benchmarks.database_steps import DatabaseSteps

# As the plain saga retries: 5 attempts, 1 s to 10 s apart.
RETRY: restate.RunOptions[None] = restate.RunOptions(
    max_attempts=5, initial_retry_interval=timedelta(seconds=1), max_retry_interval=timedelta(seconds=10)
)

Step = Callable[[str], Coroutine[Any, Any, None]]


def order_service(steps: DatabaseSteps) -> restate.Service:
    service = restate.Service("Orders")
    pairs: list[tuple[str, Step, str, Step]] = [
        ("reserve_stock", steps.reserve, "release_stock", steps.release),
        ("charge_payment", steps.pay, "refund_payment", steps.refund),
        ("book_shipment", steps.ship, "cancel_shipment", steps.unship),
    ]

    @service.handler()
    async def place(ctx: restate.Context, order_id: str) -> str:
        compensations: list[tuple[str, Step]] = []
        try:
            for name, step, undo_name, undo in pairs:
                compensations.append((undo_name, undo))
                await ctx.run_typed(name, step, RETRY, order_id=order_id)
        except restate.TerminalError:
            for undo_name, undo in reversed(compensations):
                await ctx.run_typed(undo_name, undo, RETRY, order_id=order_id)
            raise
        return "COMPLETED"

    return service
