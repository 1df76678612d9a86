"""Calls a person when a step that may not fail does not get on.

One timer watches all steps of an order, one after the other, instead of one each: a trace stays readable, and an
order that runs through pays for a single timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.tickets import Tickets
    from domain.commands import Attention
    from workflows import policies
    from workflows.search_attributes import NEEDS_ATTENTION

Result = TypeVar("Result")


class Watch:
    """Tickets at the repair desk for one order's steps, opened when a step takes too long, closed when it got on."""

    def __init__(self, order_id: str) -> None:
        self._order_id = order_id
        self._step: str | None = None
        self._since = workflow.now()
        self._turn = 0
        self._timer: asyncio.Task[None] | None = None
        self._called: dict[str, set[str]] = {}  # the steps that a person was called about, and why
        self._desk = asyncio.Lock()

    async def over(self, step: str, running: Awaitable[Result]) -> Result:
        """Awaits a step; after `policies.ATTENTION_AFTER` a person is called while it goes on."""
        self._turn, self._step, self._since = self._turn + 1, step, workflow.now()
        if self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._watch())
        try:
            result = await running
        finally:
            self._step = None
        await self.dismiss(step)
        return result

    async def _watch(self) -> None:
        """Ends when it finds no step running: the next one starts it again."""
        while self._step is not None:
            turn, left = self._turn, self._since + policies.ATTENTION_AFTER - workflow.now()
            if left > timedelta(0):
                await workflow.sleep(left, summary="call a person if a step does not get on")
            else:
                why = "still retried; its pending activity shows the last error"
                await self.call_person(self._step, "step_keeps_failing", why)
                await workflow.wait_condition(lambda turn=turn: self._turn != turn or self._step is None)  # type: ignore[misc]

    async def call_person(self, step: str, kind: str, detail: str) -> None:
        """Opens a ticket, unless there is one for this, and flags the order."""
        async with self._desk:
            if kind in self._called.setdefault(step, set()):
                return
            self._called[step].add(kind)
            ticket = Attention(order_id=self._order_id, step=step, kind=kind, detail=detail[:2000])
            await workflow.execute_activity_method(Tickets.open_ticket, ticket, **policies.UNTIL_DONE)
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(True)])

    async def dismiss(self, step: str) -> None:
        """Closes the step's tickets, if it has any: it got on by itself."""
        if step not in self._called:
            return
        async with self._desk:
            self._called.pop(step, None)
            settled = Attention(order_id=self._order_id, step=step)
            await workflow.execute_activity_method(Tickets.close_tickets, settled, **policies.UNTIL_DONE)
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(bool(self._called))])
