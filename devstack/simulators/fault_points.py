"""Faults a simulator can be told to show, shared by Stripe's and the carrier's.

A fault is chosen when a request arrives: by a rule (an operation, a kind, so many times) or, when no rule matches,
by a seeded random mix. Rules and mixes live in memory: a simulator that was restarted is a healthy one.

| kind | effect done | what the client sees |
|---|---|---|
| before_effect | no | connection closed without an answer |
| connection_reset | no | connection reset (RST) |
| rate_limit_429 | no | 429, before the idempotency layer |
| error_500_unsaved | no | 500; a retry executes |
| slow | yes, late | the answer after `delay_seconds`; meanwhile a concurrent use of the key is 409 |
| after_effect_drop | yes | connection closed without an answer; where there are keys, the answer is saved |
| truncated_body | yes | half an answer, then the connection is closed; saved likewise |
| error_500_saved | yes | 500; where there are keys, the 500 is what is saved |
| refuse_400, refuse_402 | no | 400 or 402 with the rule's `code`, kept under no key; a retry executes |
| nonsense | no | 200 with something else than an answer: `code` is `html` (the usual), `empty`, `list` or `types` |
"""

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

TRANSPORT_EXTENSION = "ordersaga.transport"
"""Where the server puts the connection's transport into the ASGI scope."""


class FaultKind(StrEnum):
    BEFORE_EFFECT = "before_effect"
    CONNECTION_RESET = "connection_reset"
    RATE_LIMIT_429 = "rate_limit_429"
    ERROR_500_UNSAVED = "error_500_unsaved"
    SLOW = "slow"
    AFTER_EFFECT_DROP = "after_effect_drop"
    TRUNCATED_BODY = "truncated_body"
    ERROR_500_SAVED = "error_500_saved"
    REFUSE_400 = "refuse_400"
    REFUSE_402 = "refuse_402"
    NONSENSE = "nonsense"


REFUSALS = {FaultKind.REFUSE_400: 400, FaultKind.REFUSE_402: 402}
"""The status of each kind that refuses what was sent; each simulator words its error in its own shape."""

_NONSENSE = {
    "html": "<html><body>Bad gateway</body></html>",
    "empty": "{}",
    "list": "[]",
    "types": '{"id": 7, "object": [], "status": {}, "amount": "much", "rates": 1, "data": 0}',
}


@dataclass
class FaultRule:
    """`operation` is a name or a pattern (`*`, `refunds.*`); `times` None means until removed.

    `code` is the far end's error code of a refusal, or which nonsense it is.
    """

    operation: str
    kind: FaultKind
    times: int | None = 1
    delay_seconds: float = 0.5
    code: str | None = None


@dataclass(frozen=True)
class FaultMix:
    """Probabilities per request; what is left over is the chance of no fault at all."""

    seed: int
    rates: Mapping[FaultKind, float]
    operation: str = "*"
    delay_seconds: float = 0.5

    def __post_init__(self) -> None:
        if any(rate < 0 for rate in self.rates.values()) or sum(self.rates.values()) > 1:
            raise ValueError("rates must be probabilities that add up to at most 1")


class FaultBoard:
    """The faults in force, and how often each kind was shown."""

    def __init__(self) -> None:
        self._rules: list[FaultRule] = []
        self._mix: FaultMix | None = None
        self._random = random.Random()
        self.shown: Counter[str] = Counter()

    def add(self, rule: FaultRule) -> None:
        self._rules.append(rule)

    def set_mix(self, mix: FaultMix | None) -> None:
        self._mix = mix
        self._random = random.Random(mix.seed if mix else None)

    def clear(self) -> None:
        self._rules.clear()
        self.set_mix(None)

    def pick(self, operation: str) -> FaultRule | None:
        fault = self._from_rules(operation) or self._from_mix(operation)
        if fault:
            self.shown[fault.kind] += 1
        return fault

    def _from_rules(self, operation: str) -> FaultRule | None:
        for rule in self._rules:
            if fnmatchcase(operation, rule.operation):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                return rule
        return None

    def _from_mix(self, operation: str) -> FaultRule | None:
        if self._mix is None or not fnmatchcase(operation, self._mix.operation):
            return None
        draw = self._random.random()
        for kind, rate in self._mix.rates.items():
            draw -= rate
            if draw < 0:
                return FaultRule(operation, kind, delay_seconds=self._mix.delay_seconds)
        return None

    def state(self) -> dict[str, Any]:
        return {
            "rules": [vars(rule) for rule in self._rules],
            "mix": None if self._mix is None else {"seed": self._mix.seed, "rates": dict(self._mix.rates)},
            "shown": dict(self.shown),
        }


class DroppedConnection(Response):
    """No answer at all: the connection is closed, or reset."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope["extensions"][TRANSPORT_EXTENSION]["transport"]
        if self._reset:
            # A zero linger time is what makes the kernel send RST instead of FIN.
            with socket.fromfd(
                transport.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM
            ) as copy:
                copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        else:
            transport.close()
        while (await receive())["type"] != "http.disconnect":
            continue


class TruncatedBody(Response):
    """The headers and half of the body, then the connection is closed."""

    def __init__(self, whole: Response) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = self._whole
        await send({"type": "http.response.start", "status": whole.status_code, "headers": whole.raw_headers})
        half = bytes(whole.body)[: len(whole.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope["extensions"][TRANSPORT_EXTENSION]["transport"].close()
        while (await receive())["type"] != "http.disconnect":
            continue


async def before_effect(fault: FaultRule | None) -> Response | None:
    """The answer that takes the place of the effect, or None (after the delay of a slow one) to go on."""
    if fault is None:
        return None
    if fault.kind is FaultKind.SLOW:
        await asyncio.sleep(fault.delay_seconds)
    if fault.kind is FaultKind.BEFORE_EFFECT:
        return DroppedConnection()
    if fault.kind is FaultKind.CONNECTION_RESET:
        return DroppedConnection(reset=True)
    if fault.kind is FaultKind.NONSENSE:
        name = fault.code or "html"
        return Response(_NONSENSE[name], media_type="text/html" if name == "html" else "application/json")
    return None


def after_effect(fault: FaultRule | None, answer: Response) -> Response:
    """What becomes of the answer once the effect is committed."""
    if fault is not None and fault.kind is FaultKind.AFTER_EFFECT_DROP:
        return DroppedConnection()
    if fault is not None and fault.kind is FaultKind.TRUNCATED_BODY:
        return TruncatedBody(answer)
    return answer
