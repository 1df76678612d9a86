"""Carries out an import's plan through the API, in bounded concurrency, writing down what is done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from commandline.failures import Failure, Misused
from commandline.imports.journal import Facts, Journal
from commandline.imports.order_lines import GUEST
from commandline.imports.patient_api import PatientApi, problem_words
from commandline.imports.plan import Plan, PlannedCancel, PlannedOrder
from commandline.imports.progress import ImportProgress
from commandline.imports.stock import bring_in, names_of, products_of
from commandline.orders import order_path
from domain.order_states import OrderStatus

PAYMENT_METHOD = "pm_card_visa"
LOOK_EVERY = 0.5  # seconds
PAGE = 100

GONE = frozenset([OrderStatus.SHIPPED, OrderStatus.DELIVERED])
OVER = frozenset([OrderStatus.CANCELED, OrderStatus.REJECTED])

Item = TypeVar("Item")


class Import:
    """One run. `settle` comes after `place`; both begin with what the journal does not know yet."""

    def __init__(
        self,
        api: PatientApi,
        plan: Plan,
        journal: Journal,
        progress: ImportProgress,
        *,
        concurrency: int,
        patience: float,
        ship_to: Mapping[str, str] | None = None,
    ) -> None:
        self._ship_to = ship_to
        self._api, self._plan, self._journal, self._progress = api, plan, journal, progress
        self._concurrency, self._patience = concurrency, patience
        self._done = {job.invoice: asyncio.Event() for job in plan.orders}

    @property
    def _facts(self) -> Facts:
        return self._journal.facts

    async def place(self) -> None:
        """Stock, customers, then the invoices in the order of their dates. Raises Failure where the API is away."""
        for order in self._plan.orders:
            if self._is_known(order):
                self._done[order.invoice].set()
        waiting = [job for job in self._plan.jobs if not self._is_known(job)]
        orders = [job for job in waiting if isinstance(job, PlannedOrder)]
        if orders and self._ship_to is None:
            await require_no_rates(self._api)
        await self._bring_in(orders)
        customers = sorted({order.customer_id for order in orders} - self._facts.customers)
        await self._each("customers", customers, self._add_customer)
        await self._each("invoices", waiting, self._carry_out)

    def _is_known(self, job: PlannedOrder | PlannedCancel) -> bool:
        if isinstance(job, PlannedCancel):
            return job.invoice in self._facts.canceled
        return job.invoice in self._facts.placed or job.invoice in self._facts.refused

    async def _bring_in(self, orders: Sequence[PlannedOrder]) -> None:
        """Enough of every product for all that the plan orders of it, not only for what is still to be placed."""
        wanted, needed = products_of(self._plan.orders), products_of(orders)
        names = names_of(self._plan.orders)
        short = [product for product in needed if self._facts.stocked.get(product, 0) < wanted[product]]

        async def bring(product: str) -> None:
            await bring_in(self._api, product, names[product], wanted[product], needed[product])
            self._journal.note("stocked", product=product, pieces=wanted[product])

        await self._each("products", sorted(short), bring)

    async def _add_customer(self, customer_id: str) -> None:
        """Somebody with this id who is there already, under whatever name, is taken for the customer."""
        name = "Guest" if customer_id == GUEST else f"Customer {customer_id}"
        email = f"{GUEST}@example.com" if customer_id == GUEST else f"customer-{customer_id}@example.com"
        body = {"customerId": customer_id, "name": name, "email": email}
        answer = await self._api.post("/api/customers", body)
        if answer.status not in (200, 201) and answer.document.get("code") != "customer_exists":
            raise Failure("customer_refused", f"customer {customer_id}: {problem_words(answer)}")
        self._journal.note("customer", customer=customer_id)

    async def _carry_out(self, job: PlannedOrder | PlannedCancel) -> None:
        if isinstance(job, PlannedOrder):
            await self._place_order(job)
            self._done[job.invoice].set()
            return
        # The order began before its cancel did, so that this wait always ends.
        await self._done[job.order.invoice].wait()
        await self._cancel(job)

    async def _place_order(self, order: PlannedOrder) -> None:
        answer = await self._api.post("/api/orders", self._body_of(order), order.key)
        if order_id := answer.document.get("orderId"):  # also of a refused one: what became of it, its row tells
            self._journal.note("placed", invoice=order.invoice, order=order_id)
        elif answer.document.get("code") == "idempotency_key_reused" and (found := await self._find(order)):
            self._journal.note("placed", invoice=order.invoice, order=found)
        elif answer.status >= 500:
            self._facts.failed[order.invoice] = problem_words(answer)
        else:
            self._journal.note("refused", invoice=order.invoice, reason=problem_words(answer))

    def _body_of(self, order: PlannedOrder) -> dict[str, Any]:
        body: dict[str, Any] = {
            "customerId": order.customer_id,
            "items": [{"productId": line.product_id, "quantity": line.pieces} for line in order.lines],
            "paymentMethod": PAYMENT_METHOD,
            "currency": order.total.currency,
            "expectedTotal": order.total.decimal,
            "metadata": {"invoice": order.invoice, "invoiceDate": order.date.isoformat(), "importKey": order.key},
        }
        if self._ship_to is not None:
            body["shippingAddress"] = dict(self._ship_to)
        if order.canceled_by is not None:
            body["shipNotBefore"] = self._facts.hold_until  # it has to wait for its cancel
        return body

    async def _find(self, order: PlannedOrder) -> str | None:
        """The order of this invoice that an earlier run placed to wait until another time; its journal is lost."""
        cursor = None
        while True:
            query = {"customerId": order.customer_id, "limit": PAGE} | ({"cursor": cursor} if cursor else {})
            page = (await self._api.get("/api/orders", query)).document
            for found in page["orders"]:
                if found.get("metadata", {}).get("importKey") == order.key:
                    return str(found["orderId"])
            if (cursor := page["nextCursor"]) is None:
                return None

    async def _cancel(self, cancel: PlannedCancel) -> None:
        order_id = self._facts.placed.get(cancel.order.invoice)
        if order_id is None:
            return
        body = {"reason": f"invoice {cancel.invoice}"[:500]}
        answer = await self._api.post(f"{order_path(order_id)}/cancel", body)
        if answer.status >= 500:
            self._facts.failed[cancel.invoice] = problem_words(answer)
        else:
            refusal = "" if answer.status in (200, 202) else problem_words(answer)
            self._journal.note("cancel", invoice=cancel.invoice, refusal=refusal)

    async def settle(self) -> list[str]:
        """Waits until every order is where the file leaves it; returns the invoices that are not done in time."""
        waiting = [order for order in self._plan.orders if not self._rests(order)]
        with self._progress.stage("settled", len(waiting)) as stage:
            last = time.monotonic()
            while waiting and time.monotonic() - last <= self._patience:
                await _at_once(waiting, self._look, self._concurrency)
                left = [order for order in waiting if not self._rests(order)]
                if len(left) < len(waiting):
                    last = time.monotonic()
                    stage.advance(len(waiting) - len(left))
                waiting = left
                await asyncio.sleep(LOOK_EVERY if waiting else 0)
        return [*self._facts.failed, *(order.invoice for order in waiting)]

    def _rests(self, order: PlannedOrder) -> bool:
        """Whether nothing more is waited for: the goods may leave, or the order has ended."""
        if order.invoice not in self._facts.placed:
            return True
        seen = self._facts.settled.get(order.invoice)
        if seen is None:
            return False
        status = OrderStatus(seen["status"])
        is_to_go = self._facts.canceled.get(order.canceled_by or "") != ""  # no cancel was accepted
        return status in OVER or status in GONE or (status is OrderStatus.READY_TO_SHIP and is_to_go)

    async def _look(self, order: PlannedOrder) -> None:
        answer = await self._api.get(order_path(self._facts.placed[order.invoice]))
        if answer.status != 200:
            raise Failure("order_lost", f"order of invoice {order.invoice}: {problem_words(answer)}")
        seen = answer.document
        if OrderStatus(seen["status"]) not in OVER | GONE | {OrderStatus.READY_TO_SHIP}:
            return
        refusal = seen.get("refusal") or {}
        entry = {
            "status": seen["status"],
            "paymentStatus": seen["paymentStatus"],
            "total": seen["totalAmount"],
            "currency": seen["currency"],
            "refusal": ": ".join(refusal[name] for name in ("code", "detail") if refusal.get(name)),
        }
        known = self._facts.settled.get(order.invoice)
        if known is None or known["status"] != entry["status"]:
            self._journal.note("settled", invoice=order.invoice, **entry)

    async def _each(self, what: str, items: Sequence[Item], do: Callable[[Item], Awaitable[None]]) -> None:
        with self._progress.stage(what, len(items)) as stage:

            async def counted(item: Item) -> None:
                await do(item)
                stage.advance(1)

            await _at_once(items, counted, self._concurrency)


async def _at_once(items: Iterable[Item], do: Callable[[Item], Awaitable[None]], concurrency: int) -> None:
    """Begins the items in their order, `concurrency` at a time; the first that raises ends them all."""
    queue = iter(items)

    async def work() -> None:
        for item in queue:
            await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
    except* Failure as failures:
        raise failures.exceptions[0] from None


async def same_shop(api: PatientApi, journal: Journal) -> bool:
    """Whether the shop knows the order that was written down last: a journal may be of one that is gone."""
    if not journal.facts.placed:
        return True
    return (await api.get(order_path(list(journal.facts.placed.values())[-1]))).status != 404


async def require_no_rates(api: PatientApi) -> None:
    """Raises Misused where every order needs an address: each would be refused, and written down as refused."""
    answer = await api.get("/api/rates")
    if answer.status == 200 and (answer.document["taxRates"] or answer.document["shippingRates"]):
        detail = "the shop has rates of tax or shipping, which depend on an address, and the file has none"
        raise Misused(
            detail, code="address_needed", mend="give one for all orders with --ship-to; nothing was placed"
        )
