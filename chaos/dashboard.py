"""Somebody with the shop's key at Stripe's dashboard, who refunds, voids and captures what is not theirs to touch."""

import asyncio
import random
from typing import Any

import httpx

from chaos.journal import Journal

EVERY = (5.0, 9.0)  # seconds between two acts
AMONG = 40  # of the latest payments
REFUNDABLE, HELD = "succeeded", "requires_capture"


class Hand:
    """Acts until it is canceled; each act is in the journal before it is sent, and again with its answer."""

    def __init__(self, stripe: httpx.AsyncClient, key: str, journal: Journal, seed: int) -> None:
        self._stripe, self._journal, self._draw = stripe, journal, random.Random(f"hand {seed}")
        self._headers = {"Authorization": f"Bearer {key}"}
        self.acts = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._draw.uniform(*EVERY))
            try:
                await self._act()
            except (httpx.HTTPError, ValueError):  # Stripe is away, or answers nonsense
                continue

    async def _act(self) -> None:
        listed = await self._stripe.get("/v1/payment_intents", params={"limit": AMONG}, headers=self._headers)
        found = listed.raise_for_status().json()
        payments = found["data"] if isinstance(found, dict) and found.get("object") == "list" else []
        chosen = [payment for payment in payments if payment["status"] in (REFUNDABLE, HELD)]
        if chosen:
            payment = self._draw.choice(chosen)
            await self._do(payment, *self._draw_act(payment))

    def _draw_act(self, payment: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        """What is done, the address, the parameters."""
        of_payment = f"/v1/payment_intents/{payment['id']}"
        if payment["status"] == HELD:
            act = self._draw.choice(["void", "capture"])
            return act, f"{of_payment}/{'cancel' if act == 'void' else 'capture'}", {}
        amount = payment["amount_received"]
        part = self._draw.choice([amount, max(1, amount // 3)])
        return "refund", "/v1/refunds", {"payment_intent": payment["id"], "amount": part}

    async def _do(self, payment: dict[str, Any], act: str, url: str, params: dict[str, Any]) -> None:
        about = {"orderId": payment["metadata"].get("order_id"), "paymentIntent": payment["id"], "act": act}
        self._journal.write("hand", **about, status=None)
        answer = await self._stripe.post(url, data=params, headers=self._headers)
        self._journal.write("hand", **about, status=answer.status_code)
        self.acts += answer.is_success
