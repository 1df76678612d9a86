"""Times of real far ends for the simulators, and what they then took: `/_control/call_times` of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from devstack.simulators.call_times import Call, CallTimes

ANSWERED_BY = ("payment_intents.create", "payment_intents.confirm")
"""The two calls that a checkout's answer waits for."""


@dataclass(frozen=True)
class Journal:
    """The calls that one far end has had since its times were set."""

    calls: Sequence[Call]

    @property
    def seconds(self) -> list[float]:
        return [call.seconds for call in self.calls]

    @property
    def connections(self) -> int:
        """How many connections the calls came over."""
        return len({call.connection for call in self.calls})

    def by_operation(self) -> dict[str, int]:
        names = sorted(call.operation for call in self.calls)
        return {name: names.count(name) for name in dict.fromkeys(names)}

    def before_the_answer(self, order_id: str) -> list[float]:
        """Seconds of each call that an order's checkout waited for; more than two where one was repeated."""
        return [call.seconds for call in self.calls if call.operation in ANSWERED_BY and order_id in call.about]


class FarEnd:
    """The control endpoint of one simulator."""

    def __init__(self, http: httpx.AsyncClient, base: str) -> None:
        self._http, self._url = http, f"{base}/_control/call_times"

    async def take(self, times: CallTimes | None) -> None:
        """From now on; the journal begins anew."""
        await self._send("POST", asdict(times) if times else {})

    async def journal(self) -> Journal:
        answer = await self._send("GET")
        return Journal([Call(**call) for call in answer["calls"]])

    async def _send(self, method: str, body: dict[str, Any] | None = None) -> Any:
        answer = await self._http.request(method, self._url, json=body)
        answer.raise_for_status()
        return answer.json()
