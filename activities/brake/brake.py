"""The saga asks here before it turns an order back by our own fault."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity

from adapters.postgres.database import Sessions
from domain.brake import BrakeAnswer, EndsByOurFault
from domain.errors import TryAgain
from services.brake import brake
from services.brake.brake import BrakeRule


class Brakes:
    """Asks the brake for a workflow. `poll` is the time between two questions while it is on."""

    def __init__(self, sessions: Sessions, rule: BrakeRule, poll: timedelta) -> None:
        self._sessions = sessions
        self._rule = rule
        self._poll = poll

    @activity.defn
    async def ask_brake(self, end: EndsByOurFault) -> BrakeAnswer:
        """Answers whether the order may end, or has to try its step again. Raises TryAgain while the brake is on."""
        async with self._sessions() as session, session.begin():
            found = await brake.ask(session, self._rule, end)
        if found.on:
            raise TryAgain(
                "too many orders would end by our own fault: held until a person releases the brake", delay=self._poll
            )
        return BrakeAnswer(try_again=found.held)
