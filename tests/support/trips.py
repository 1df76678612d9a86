"""A saga of another kind, built from the engine alone: a trip is booked, or undone; nothing here is about orders."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from domain.commands import CancelRequest
    from domain.repairs import RepairDecision, Resolution, ResolutionAnswer, SettledTicket
    from workflows.saga import policies
    from workflows.saga.cancel_desk import CancelDesk, CancelGranted, CancelRules, Outcome, Ruling, Wish
    from workflows.saga.saga import Saga
    from workflows.saga.saga_workflow import SagaWorkflow
    from workflows.saga.steps import StepFailed
    from workflows.saga.tickets import TicketDesk
    from workflows.saga.uninterrupted import to_the_end


class Trip(BaseModel):
    trip_id: str
    lean: bool = False


class AboutStep(BaseModel):
    step: str
    kind: str = ""


class TripSteps:
    """Its activities: `ran` names those that succeeded; each can be held, and made to fail. `lean`: how it is run."""

    def __init__(self, *, lean: bool = False) -> None:
        self.lean = lean
        self.ran: list[str] = []
        self.tickets: list[AboutStep] = []
        self.fails: dict[str, list[Exception]] = defaultdict(list)
        self.held: dict[str, asyncio.Event] = {}
        self.began: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def _run(self, step: str) -> None:
        self.began[step].set()
        if step in self.held:
            await self.held[step].wait()
        if self.fails[step]:
            raise self.fails[step].pop()
        self.ran.append(step)

    @activity.defn
    async def book_room(self, trip: Trip) -> None:
        await self._run("book_room")

    @activity.defn
    async def give_room_back(self, trip: Trip) -> None:
        await self._run("give_room_back")

    @activity.defn
    async def book_train(self, trip: Trip) -> None:
        await self._run("book_train")

    @activity.defn
    async def give_train_back(self, trip: Trip) -> None:
        await self._run("give_train_back")

    @activity.defn
    async def send_vouchers(self, trip: Trip) -> None:
        await self._run("send_vouchers")

    @activity.defn
    async def open_trip_ticket(self, about: AboutStep) -> None:
        self.tickets.append(about)
        await self._run(f"ticket: {about.step} {about.kind}")

    @activity.defn
    async def close_trip_tickets(self, about: AboutStep) -> None:
        self.tickets = [ticket for ticket in self.tickets if ticket.step != about.step]
        await self._run(f"closed: {about.step}")

    @activity.defn
    async def settle_trip_ticket(self, resolution: Resolution) -> SettledTicket:
        answer = ResolutionAnswer(accepted=True, code=resolution.decision)
        ticket = self.tickets[resolution.ticket_id]
        if resolution.decision is not RepairDecision.RETRY:
            self.tickets.remove(ticket)
        return SettledTicket(answer=answer, step=ticket.step, open_steps=[one.step for one in self.tickets])

    def methods(self) -> list[Callable[..., Any]]:
        return [
            self.book_room,
            self.give_room_back,
            self.book_train,
            self.give_train_back,
            self.send_vouchers,
            self.open_trip_ticket,
            self.close_trip_tickets,
            self.settle_trip_ticket,
        ]


class TripTickets(TicketDesk):
    def __init__(self) -> None:
        self.flagged = False

    async def open(self, step: str, kind: str, detail: str) -> bool:
        about = AboutStep(step=step, kind=kind)
        await workflow.execute_activity_method(TripSteps.open_trip_ticket, about, **policies.UNTIL_DONE)
        return True

    async def close(self, step: str) -> None:
        await workflow.execute_activity_method(
            TripSteps.close_trip_tickets, AboutStep(step=step), **policies.UNTIL_DONE
        )

    async def settle(self, key: str, resolution: Resolution) -> SettledTicket:
        return await workflow.execute_activity_method(TripSteps.settle_trip_ticket, resolution, **policies.UNTIL_DONE)

    def flag(self, needs_attention: bool) -> None:
        self.flagged = needs_attention


class TripCancels(CancelRules[str]):
    """A trip can be canceled until everything is booked."""

    booked = False

    def answer(self, ruling: Ruling) -> str:
        return ruling.code

    async def rule(self, wish: Wish[str]) -> Ruling:
        return Ruling(Outcome.REFUSED, "already_booked") if self.booked else await super().rule(wish)


@workflow.defn
class BookTrip(SagaWorkflow):
    @workflow.init
    def __init__(self, trip: Trip) -> None:
        self.tickets, self.rules = TripTickets(), TripCancels()
        self.saga = Saga(trip, self.tickets, {"book_room": "a room with a view"}, lean=trip.lean)
        self.cancels: CancelDesk[str] = CancelDesk(self.saga, self.rules)

    async def _book_or_undo(self) -> str:
        try:
            await self.saga.local_first(TripSteps.book_room, undo=TripSteps.give_room_back)
            await self.saga.step(TripSteps.book_train, undo=TripSteps.give_train_back)
        except CancelGranted as granted:
            await self.saga.undo_all()
            return f"canceled by {granted.request.by}"
        except StepFailed as failed:
            await self.saga.undo_all()
            return failed.code
        self.rules.booked = True
        await self.saga.insist(TripSteps.send_vouchers)
        await self.cancels.checkpoint()
        return "booked"

    @workflow.run
    async def run(self, trip: Trip) -> str:
        return await to_the_end(self._book_or_undo(), self.cancels, canceled="canceled by temporal")

    @workflow.update
    async def cancel(self, request: CancelRequest) -> str:
        return await self.cancels.decision_on(request)

    @workflow.query
    def needs_attention(self) -> bool:
        return self.tickets.flagged
