"""Who wished something of a workflow, so that it can be believed: a signed name, checked in the activity that acts.

Anybody who may write to Temporal's namespace can signal a workflow and say any name. What the API passes on is
signed. A cancel without a signature is recorded as what it is, `unverified:`; nothing else is done without one.
Workflow code checks nothing, so that a replay depends on no key.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

from pydantic import SecretStr

from adapters.identities.secrets import Secret
from domain.commands import CloseOrder, NewPaymentMethod, RecordCancel
from domain.repairs import Resolution

LIFE = 86_400  # seconds from the wish to its record, while workers are away; a wish is recorded once
UNVERIFIED = "unverified:"


class Actors:
    """Signs names with the service's secret, and tells whether one was; `clock` is seconds since 1970."""

    def __init__(self, secret: SecretStr, clock: Callable[[], float] = time.time) -> None:
        self._secret, self._clock = Secret(secret, "actors"), clock

    def sign(self, order_id: str, wish_id: str, by: str) -> str:
        """The proof that this wish about this order is theirs."""
        return self._prove(order_id, wish_id, by)

    def decided(self, order_id: str, wanted: Resolution) -> Resolution:
        """An operator's decision with its proof."""
        return wanted.model_copy(update={"proof": self._prove(order_id, *_decision(wanted))})

    def has_decided(self, order_id: str, wanted: Resolution) -> bool:
        """Whether the repair desk has passed on this decision."""
        return self._is_proven(wanted.proof, order_id, *_decision(wanted))

    def offered(self, order_id: str, payment_method: str) -> NewPaymentMethod:
        """A customer's other payment method with its proof."""
        proof = self._prove(order_id, "pay", payment_method)
        return NewPaymentMethod(payment_method=payment_method, proof=proof)

    def has_offered(self, order_id: str, payment_method: str, proof: str) -> bool:
        """Whether the API has passed on this offer."""
        return self._is_proven(proof, order_id, "pay", payment_method)

    def recorded(self, cancel: RecordCancel) -> RecordCancel:
        """The wish as it may be recorded: with a name that is believed, or said to be unverified."""
        asked = cancel.request
        if not asked.claimed:
            return cancel
        by = self._name(cancel.order_id, asked.wish_id, asked.by, asked.proof)
        return cancel.model_copy(update={"request": asked.model_copy(update={"by": by})})

    def closing(self, close: CloseOrder) -> CloseOrder:
        """Likewise for the end of an order that was canceled."""
        if not close.claimed:
            return close
        by = self._name(close.order_id, close.wish_id, close.by, close.proof)
        return close.model_copy(update={"by": by})

    def _name(self, order_id: str, wish_id: str, by: str, proof: str) -> str:
        is_theirs = bool(wish_id) and self._is_proven(proof, order_id, wish_id, by)
        return by if is_theirs else f"{UNVERIFIED}{by}"

    def _prove(self, *what: str) -> str:
        until = int(self._clock()) + LIFE
        return f"{until}.{self._digest(until, *what)}"

    def _is_proven(self, proof: str, *what: str) -> bool:
        until, _, digest = proof.partition(".")
        if not (until.isascii() and until.isdecimal() and int(until) > self._clock()):
            return False
        return hmac.compare_digest(digest.encode(), self._digest(int(until), *what).encode())

    def _digest(self, until: int, *what: str) -> str:
        return self._secret.digest(*what, str(until))[:32]


def _decision(wanted: Resolution) -> tuple[str, ...]:
    return "resolve", str(wanted.ticket_id), wanted.decision.value, wanted.by
