"""Who wished to cancel, so that a timeline can be believed: a signed name, checked where it is recorded.

Anybody who may write to Temporal's namespace can signal a workflow and say any name. What the API passes on is
signed; a name without a signature is recorded as what it is: `unverified:`. Workflow code checks nothing, so that a
replay depends on no key.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

from pydantic import SecretStr

from adapters.identities.secrets import Secret
from domain.commands import CloseOrder, RecordCancel

LIFE = 86_400  # seconds from the wish to its record, while workers are away; a wish is recorded once
UNVERIFIED = "unverified:"


class Actors:
    """Signs names with the service's secret, and tells whether one was; `clock` is seconds since 1970."""

    def __init__(self, secret: SecretStr, clock: Callable[[], float] = time.time) -> None:
        self._secret, self._clock = Secret(secret, "actors"), clock

    def sign(self, order_id: str, wish_id: str, by: str) -> str:
        """The proof that this wish about this order is theirs."""
        until = int(self._clock()) + LIFE
        return f"{until}.{self._digest(order_id, wish_id, by, until)}"

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
        until, _, digest = proof.partition(".")
        counts = bool(wish_id) and until.isascii() and until.isdecimal() and int(until) > self._clock()
        signed = self._digest(order_id, wish_id, by, int(until)) if counts else ""
        is_theirs = counts and hmac.compare_digest(digest.encode(), signed.encode())
        return by if is_theirs else f"{UNVERIFIED}{by}"

    def _digest(self, order_id: str, wish_id: str, by: str, until: int) -> str:
        return self._secret.digest(order_id, wish_id, by, str(until))[:32]
