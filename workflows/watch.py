"""Calls a person when a step that may not fail does not get on, and carries out what the person decides.

One timer watches all steps of an order, one after the other, instead of one each: a trace stays readable, and an
order that runs through pays for a single timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.workflow import ActivityConfig, ActivityHandle

with workflow.unsafe.imports_passed_through():
    from activities.tickets.tickets import Tickets
    from domain.commands import Attention
    from domain.repairs import (
        NOBODY_YET,
        STEP_KEEPS_FAILING,
        RecordResolution,
        RepairDecision,
        Resolution,
        ResolutionAnswer,
    )
    from workflows import policies
    from workflows.free_texts import decision_without_words
    from workflows.search_attributes import NEEDS_ATTENTION

Result = TypeVar("Result")

_CALL = policies.UNTIL_DONE | ActivityConfig(summary="call a person")
_DISMISS = policies.UNTIL_DONE | ActivityConfig(summary="nobody is needed any more: it got on by itself")
_SETTLE = policies.UNTIL_DONE | ActivityConfig(summary="write down what a person decided")


class Watch:
    """Tickets at the repair desk for one order's steps, opened when a step takes too long, closed when it got on.

    `decided` has what an operator has settled for good, by step; `nudges` counts the decisions.
    """

    def __init__(self, order_id: str) -> None:
        self._order_id = order_id
        self._step: str | None = None
        self._since = workflow.now()
        self._turn = 0
        self._timer: asyncio.Task[None] | None = None
        self._called: dict[str, set[str]] = {}  # the steps that a person was called about, and why
        self._desk = asyncio.Lock()
        self._running: ActivityHandle[Any] | None = None
        self._prodded: ActivityHandle[Any] | None = None
        self._deciding = 0
        self.nudges = 0
        self.decided: dict[str, RepairDecision] = {}

    async def over(self, step: str, running: ActivityHandle[Result]) -> Result:
        """Awaits a step; after `policies.ATTENTION_AFTER` a person is called while it goes on."""
        self._turn, self._step, self._since = self._turn + 1, step, workflow.now()
        self._running = running
        if self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._watch())
        try:
            result = await running
        finally:
            self._step = self._running = None
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
                called = await self.call_person(self._step, STEP_KEEPS_FAILING, why)
                over = lambda turn=turn: self._turn != turn or self._step is None  # noqa: E731
                with suppress(TimeoutError):
                    patience = None if called else policies.LOOK_AGAIN_AFTER
                    await workflow.wait_condition(over, timeout=patience, timeout_summary="does it still wait?")

    async def call_person(self, step: str, kind: str, detail: str) -> bool:
        """Opens a ticket, unless there is one for this, and flags the order; False where nobody is needed yet."""
        async with self._desk:
            if kind in self._called.setdefault(step, set()):
                return True
            self._called[step].add(kind)
            ticket = Attention(order_id=self._order_id, step=step, kind=kind, detail=detail[:2000])
            opened = await workflow.execute_activity_method(Tickets.open_ticket, ticket, **_CALL)
            if opened == NOBODY_YET:
                self._forget(step, kind)
                return False
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(True)])
            return True

    def _forget(self, step: str, kind: str) -> None:
        self._called[step].discard(kind)
        if not self._called[step]:
            del self._called[step]

    async def dismiss(self, step: str) -> None:
        """Closes the step's tickets, if it has any: it got on by itself."""
        if step not in self._called:
            return
        async with self._desk:
            self._called.pop(step, None)
            settled = Attention(order_id=self._order_id, step=step)
            await workflow.execute_activity_method(Tickets.close_tickets, settled, **_DISMISS)
            workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(bool(self._called))])

    # what the person decides

    async def resolve(self, wanted: Resolution) -> ResolutionAnswer:
        """Carries out a decision while no attempt is under way: it may have succeeded by itself."""
        self._deciding += 1
        try:
            self._prod()
            while self._running is not None:
                await workflow.wait_condition(lambda: self._running is None)
            async with self._desk:
                return await self._record(wanted)
        finally:
            self._deciding -= 1

    async def _record(self, wanted: Resolution) -> ResolutionAnswer:
        update = workflow.current_update_info()
        key = update.id if update else str(workflow.uuid4())
        decision = await decision_without_words(self._order_id, wanted)
        record = RecordResolution(order_id=self._order_id, key=key, resolution=decision)
        settled = await workflow.execute_activity_method(Tickets.resolve_ticket, record, **_SETTLE)
        if settled.answer.accepted:
            self.nudges += 1
            if wanted.decision is not RepairDecision.RETRY:
                self.decided[settled.step] = wanted.decision
                if settled.step not in settled.open_steps:
                    self._called.pop(settled.step, None)
                workflow.upsert_search_attributes([NEEDS_ATTENTION.value_set(bool(settled.open_steps))])
        return settled.answer

    def _prod(self) -> None:
        """Ends the waiting retry of the running step; an attempt that was started finishes."""
        if self._running is not None:
            self._prodded = self._running
            self._prodded.cancel()

    def prodded(self, attempt: ActivityHandle[Any]) -> bool:
        """Whether an operator's decision ended the attempt: it is begun again."""
        return self._prodded is attempt

    async def gate(self) -> None:
        """Nothing is begun while a decision is written down."""
        while self._deciding:
            await workflow.wait_condition(lambda: not self._deciding)

    async def pause(
        self, nudges: int, time: timedelta, summary: str, *, or_until: Callable[[], bool] = lambda: False
    ) -> None:
        """A pause between two tries, until an operator has decided something since `nudges` were counted."""

        def news() -> bool:
            return self.nudges != nudges or or_until()

        if not news():
            try:
                await workflow.wait_condition(news, timeout=time, timeout_summary=summary)
            except TimeoutError:
                return
