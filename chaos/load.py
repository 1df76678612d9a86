"""The shop: places orders as a careful client does, and writes down every answer that it gets.

Careful means: an Idempotency-Key per order, and the same request again, later and later, after a lost connection, a
5xx or a 429. Nothing else is known to it of the service than its HTTP API, and of operations the cancel signal.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import httpx
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from chaos.journal import Journal
from chaos.wishes import Course, Product, Wish

REQUEST_TIMEOUT = 15.0  # seconds; longer than a checkout's budget
PATIENCE = 180.0  # seconds for one request with all its repeats
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)  # seconds; the last one again and again
LOOKS = (1.0, 2.0, 4.0, 8.0)  # seconds between two looks at an order that is pending; likewise
CONNECTIONS = 100
NEEDS_ANSWER = frozenset(["PLACED", "RESERVED"])
TRY_AGAIN = frozenset([429, *range(500, 600)])

Value = TypeVar("Value")


class GaveUp(Exception):
    """There was no answer in all the time that a client has."""


class Shop:
    """`stripe` is the bank's door for 3-D Secure, `connect` leads operations to Temporal."""

    def __init__(
        self,
        api: str,
        stripe: str,
        connect: Callable[[], Awaitable[Client]],
        journal: Journal,
        answered: Callable[[str, str], None] = lambda key, order_id: None,
    ) -> None:
        """`answered` is told of each order that an answer names, and of its key."""
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        timeout = httpx.Timeout(REQUEST_TIMEOUT, pool=PATIENCE)
        self._api = httpx.AsyncClient(base_url=api, limits=limits, timeout=timeout, trust_env=False)
        self._bank = httpx.AsyncClient(base_url=stripe, timeout=REQUEST_TIMEOUT, trust_env=False)
        self._connect = connect
        self._temporal: Client | None = None
        self._journal, self._tell = journal, answered
        self.answers: Counter[str] = Counter()
        self.repeats = 0
        self.gave_up = 0

    async def aclose(self) -> None:
        await self._api.aclose()
        await self._bank.aclose()

    async def stock_up(self, products: Sequence[Product], customers: Sequence[str]) -> None:
        """Before the first fault."""
        for product in products:
            wanted = {"productId": product.product_id, "name": "Lamp", "price": product.price}
            answer = await self._api.post("/api/products", json={**wanted, "onHand": product.on_hand})
            answer.raise_for_status()
            self._journal.write("product", productId=product.product_id, onHand=product.on_hand)
        for customer in customers:
            wanted = {"customerId": customer, "name": "Customer", "email": f"{customer}@example.com"}
            (await self._api.post("/api/customers", json=wanted)).raise_for_status()

    async def run(self, wishes: Sequence[Wish]) -> None:
        """Every wish at its time; comes back when each customer has what there is to have."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for wish in wishes:
                await asyncio.sleep(max(0.0, began + wish.at - time.monotonic()))
                group.create_task(self._serve(wish))

    async def _serve(self, wish: Wish) -> None:
        try:
            await self._play(wish)
        except GaveUp:
            self.gave_up += 1

    async def _play(self, wish: Wish) -> None:
        self._journal.write("sent", key=wish.key, course=wish.course)
        answer = await self._place(wish)
        self.answers[str(answer.status_code)] += 1
        order_id = answer.json().get("orderId")
        if not answer.is_success or order_id is None:
            return
        if wish.course in (Course.AUTHENTICATES, Course.FAILS_AT_BANK):
            await self._authenticate(wish, answer, order_id)
        elif wish.course in (Course.LEAVES_BANK, Course.CANCELS):
            await asyncio.sleep(wish.wait)
            await self._cancel(order_id)
        elif wish.course is Course.SIGNALED:
            await asyncio.sleep(wish.wait)
            await self._again(lambda: self._signal(order_id))

    async def _place(self, wish: Wish) -> httpx.Response:
        """The checkout's answer; while it is pending the order is looked at, and then it is asked for again."""
        while True:
            answer = await self._request("POST", "/api/orders", wish.body, {"Idempotency-Key": wish.key})
            told = answer.json()
            order_status = told.get("orderStatus") or told.get("status")
            self._journal.write(
                "answer",
                key=wish.key,
                status=answer.status_code,
                orderId=told.get("orderId"),
                orderStatus=order_status,
                code=told.get("code"),
            )
            if told.get("orderId"):
                self._tell(wish.key, told["orderId"])
            if answer.status_code != 202 or order_status not in NEEDS_ANSWER:
                return answer
            await self._answered(told["orderId"])

    async def _answered(self, order_id: str) -> None:
        """Comes back when the order is no longer pending. Raises GaveUp."""
        deadline, looks = time.monotonic() + PATIENCE, 0
        while time.monotonic() < deadline:
            await asyncio.sleep(LOOKS[min(looks, len(LOOKS) - 1)])
            looks += 1
            if (await self._request("GET", f"/api/orders/{order_id}")).json()["status"] not in NEEDS_ANSWER:
                return
        raise GaveUp

    async def _authenticate(self, wish: Wish, answer: httpx.Response, order_id: str) -> None:
        """The customer at the bank; one whose order does not see it is not the bank's business."""
        deadline = time.monotonic() + PATIENCE
        while answer.status_code == 202 and not (secret := answer.json().get("clientSecret")):
            if time.monotonic() > deadline:
                raise GaveUp
            await asyncio.sleep(1.0)
            answer = await self._place(wish)
        if answer.status_code != 202:
            return
        url = f"/_control/payment_intents/{secret.partition('_secret')[0]}/authenticate"
        succeed = wish.course is Course.AUTHENTICATES
        await self._again(lambda: self._bank.post(url, json={"succeed": succeed}))

    async def _cancel(self, order_id: str) -> None:
        answer = await self._request("POST", f"/api/orders/{order_id}/cancel", {"reason": "changed my mind"})
        told = answer.json()
        decision, code = told.get("decision"), told.get("code")
        self._journal.write("cancel", orderId=order_id, status=answer.status_code, decision=decision, code=code)

    async def _signal(self, order_id: str) -> None:
        if self._temporal is None:
            self._temporal = await self._connect()
        try:
            await self._temporal.get_workflow_handle(f"order-{order_id}").signal("cancel_order", "changed my mind")
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it is over already
                raise

    async def _request(
        self, method: str, url: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        async def once() -> httpx.Response:
            answer = await self._api.request(method, url, json=body, headers=headers)
            if answer.status_code in TRY_AGAIN:
                raise httpx.HTTPStatusError("", request=answer.request, response=answer)
            return answer

        return await self._again(once)

    async def _again(self, ask: Callable[[], Awaitable[Value]]) -> Value:
        """Until there is an answer. Raises GaveUp."""
        deadline, tries = time.monotonic() + PATIENCE, 0
        while True:
            try:
                return await ask()
            except (httpx.HTTPError, RPCError, RuntimeError):
                if time.monotonic() > deadline:
                    raise GaveUp from None
            self.repeats += 1
            await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1
