"""Decides on cancels, one after the other, by the rules of what is being run.

A wish to cancel is only noted when it arrives; it is decided at the saga's next checkpoint, where nothing has been
undone yet, so that a refused cancel lets the process go on as if nobody had asked (docs/decisions/0003).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import CancelRequest
    from workflows.saga.saga import Saga

Answer = TypeVar("Answer")


class CancelGranted(Exception):
    """The saga turns back; `request` is the wish that was granted."""

    def __init__(self, request: CancelRequest) -> None:
        super().__init__(f"cancel granted, asked for by {request.by}")
        self.request = request


class Outcome(StrEnum):
    """What a wish to cancel comes to."""

    GRANTED = "granted"  # undo what was done
    JOINED = "joined"  # it is being undone already, or is undone: the same answer again
    REFUSED = "refused"


class Ruling(NamedTuple):
    """The decision on a wish; `code` is the stable word that its caller gets.

    `by_far_end`: another system has decided it (a carrier), and need not be asked again for who else waits.
    """

    outcome: Outcome
    code: str
    by_far_end: bool = False


class Wish(Generic[Answer]):
    """A request to cancel that waits for its answer, or has it; `number` counts the wishes of one process."""

    def __init__(self, number: int, request: CancelRequest) -> None:
        self.number, self.request = number, request
        self.answer: Answer | None = None


class CancelRules(ABC, Generic[Answer]):
    """What one kind of process says to those who want to cancel it: by default yes, until it is being undone."""

    turned_back = False

    @abstractmethod
    def answer(self, ruling: Ruling) -> Answer:
        """What the caller of the update gets."""

    def join(self) -> Ruling | None:
        """The ruling for a wish that comes too late to change anything; None if it has to wait for a checkpoint."""
        return Ruling(Outcome.JOINED, "already_canceling") if self.turned_back else None

    async def rule(self, wish: Wish[Answer]) -> Ruling:
        """Decides on a wish, at a checkpoint; may ask another system."""
        return self.join() or Ruling(Outcome.GRANTED, "cancel_accepted")

    async def record(self, wish: Wish[Answer], ruling: Ruling) -> None:
        """Writes down, until it has succeeded, that the wish was granted or refused; by default nowhere."""

    def turn_back(self) -> None:
        """Called when a cancel is granted: from now on the process is being undone."""
        self.turned_back = True

    def refuses_all_at_once(self) -> bool:
        """Whether the refusal of a far end goes to all who wait, instead of asking it for each.

        A kind that has histories from before this rule asks its patch.
        """
        return True


class CancelDesk(Generic[Answer]):
    """The wishes to cancel one process.

    `asked_before` counts those of a workflow that ran the same process before: the numbers go on after theirs.
    """

    def __init__(self, saga: Saga, rules: CancelRules[Answer], asked_before: int = 0) -> None:
        self._saga = saga
        self._rules = rules
        self._open: list[Wish[Answer]] = []
        self._by_id: dict[str, Wish[Answer]] = {}
        self._count = asked_before
        saga.checkpoint = self.checkpoint

    def ask(self, request: CancelRequest) -> Wish[Answer]:
        """Notes a wish, whose answer is set when it is decided; a wish whose id is known joins the first one.

        The API gives up on an update that nobody takes on and sends a signal instead; the update may arrive as well.
        """
        known = self._by_id.get(request.wish_id) if request.wish_id else None
        if known is not None and workflow.patched("decide-a-wish-once"):
            return known
        self._count += 1
        wish: Wish[Answer] = Wish(self._count, request)
        self._by_id[request.wish_id] = wish
        joined = self._rules.join()
        if joined is not None:
            wish.answer = self._rules.answer(joined)
        else:
            self._open.append(wish)
            self._saga.interrupt()
        return wish

    def ask_natively(self, reason: str) -> None:
        """Notes Temporal's own cancellation: one wish, also where a reset of the workflow brings it again."""
        wish_id = f"native-{workflow.info().first_execution_run_id}"
        self.ask(CancelRequest.from_input({"reason": reason, "wish_id": wish_id}, by="temporal"))

    async def decision_on(self, request: CancelRequest) -> Answer:
        """Notes a wish and waits for the decision on it, not for the end of the undo."""
        wish = self.ask(request)
        await workflow.wait_condition(lambda: wish.answer is not None)
        assert wish.answer is not None
        return wish.answer

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for a decision."""
        return bool(self._open)

    async def wait(self, ready: Callable[[], bool], time: timedelta, summary: str) -> bool:
        """Waits until `ready`, a wish to cancel (which is decided) or the end of `time`; True when ready.

        Raises CancelGranted. `summary` says in the trace what is waited for.
        """
        try:
            await workflow.wait_condition(lambda: ready() or self.waiting, timeout=time, timeout_summary=summary)
        except TimeoutError:
            return False
        await self.checkpoint()
        return ready()

    async def checkpoint(self) -> None:
        """Decides what was asked since the last checkpoint. Raises CancelGranted."""
        while self._open:
            wish = self._open[0]
            ruling = await self._rules.rule(wish)
            if ruling.outcome is Outcome.GRANTED:
                await self._grant(wish, ruling)
            elif ruling.outcome is Outcome.JOINED:
                self._answer(wish, ruling)
            elif ruling.by_far_end and len(self._open) > 1 and self._rules.refuses_all_at_once():
                await self.refuse_all(ruling)
            else:
                await self._refuse(wish, ruling)

    async def answer_all(self) -> None:
        """Decides on wishes until no handler of the workflow is at work any more."""
        while self.waiting or not workflow.all_handlers_finished():
            await workflow.wait_condition(lambda: self.waiting or workflow.all_handlers_finished())
            await self.checkpoint()

    async def refuse_all(self, ruling: Ruling) -> None:
        """Refuses every wish that waits, without looking at each."""
        for wish in list(self._open):
            await self._refuse(wish, ruling)

    async def _refuse(self, wish: Wish[Answer], ruling: Ruling) -> None:
        await self._rules.record(wish, ruling)
        self._answer(wish, ruling)

    async def _grant(self, wish: Wish[Answer], ruling: Ruling) -> None:
        granted = list(self._open)
        for one in granted:
            await self._rules.record(one, ruling)
            late = [other for other in self._open if other not in granted]  # asked while this was written down
            if late and workflow.patched("record-late-cancels"):
                granted += late
        self._rules.turn_back()
        for one in list(self._open):
            self._answer(one, ruling)
        raise CancelGranted(wish.request)

    def _answer(self, wish: Wish[Answer], ruling: Ruling) -> None:
        wish.answer = self._rules.answer(ruling)
        self._open.remove(wish)
