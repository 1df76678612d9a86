"""`ordersaga cancel`: cancels all orders of a selection, one after the other; a dry run unless it is told otherwise.

Each order is canceled by the API, which decides by the order's own state: safe to run again, and to stop anywhere.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from adapters.temporal.client import order_of
from commandline.api_client import Api
from commandline.configuration import Configuration
from commandline.failures import REFUSED, Failure
from commandline.options import named
from commandline.orders import order_path
from commandline.output import Printer, table
from domain.cancellation import Decision, decide
from domain.money import Money
from domain.order_states import OrderStatus, PaymentStatus

PAGE = 100
BACK = frozenset([PaymentStatus.AUTHORIZED, PaymentStatus.CAPTURED, PaymentStatus.PARTIALLY_REFUNDED])
AGAIN = 3  # times that an order whose answer did not come is asked for
PAUSE = 2.0  # seconds before

Order = Mapping[str, Any]


@dataclass(frozen=True)
class CancelOptions:
    reason: str
    by: str | None
    execute: bool
    rate: float  # orders a second


@dataclass
class Selection:
    """What a selection comes to: orders by state, those that a cancel may reach, and their money."""

    orders: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    canceled: int = 0  # already, or on the way
    over: int = 0  # too late for a cancel: they are not asked
    money: Counter[str] = field(default_factory=Counter)  # minor units by currency

    def add(self, order: Order) -> None:
        status = OrderStatus(order["status"])
        decision = decide(status).decision
        self.states[status] += 1
        self.canceled += decision is Decision.JOINED
        self.over += decision is Decision.REFUSED
        if decision in (Decision.ACCEPTED, Decision.CARRIER_DECIDES):
            self.orders.append(order["orderId"])
            if order["paymentStatus"] in BACK:
                held = Money.parse(str(order["totalAmount"]), order["currency"]).minor
                given = Money.parse(str(order.get("refundedAmount") or 0), order["currency"]).minor
                self.money[order["currency"]] += held - given

    @property
    def document(self) -> dict[str, Any]:
        amounts = {name: Money(minor=minor, currency=name).decimal for name, minor in sorted(self.money.items())}
        states = {status.value: self.states[status] for status in OrderStatus if self.states[status]}
        return {"orders": self.states.total(), "byStatus": states, "goesBack": amounts}


def listed(api: Api, filters: Mapping[str, Any]) -> Iterator[Order]:
    """The orders that the API lists."""
    cursor = None
    while True:
        page = api.get("/api/orders", {**filters, "limit": PAGE, "cursor": cursor})
        yield from page["orders"]
        cursor = page["nextCursor"]
        if cursor is None:
            return


def found(api: Api, order_ids: Iterable[str]) -> Iterator[Order]:
    """The orders of these ids, as the API shows them; Temporal's own idea of them may be older."""
    for order_id in order_ids:
        try:
            yield api.get(order_path(order_id))
        except Failure as failure:
            if failure.members.get("status") != 404:
                raise


async def asked_of_temporal(configuration: Configuration, query: str) -> list[str]:
    """The ids of the orders whose workflows a visibility query finds. Raises Failure for a query that is none."""
    from temporalio.service import RPCError

    try:
        client = await configuration.connect()
        ids = [order_of(found.id) async for found in client.list_workflows(query)]
    except (RPCError, RuntimeError) as error:
        said = error.message if isinstance(error, RPCError) else type(error).__name__
        raise Failure("query_failed", f"Temporal does not answer the query: {said}") from None
    return [order_id for order_id in dict.fromkeys(ids) if order_id is not None]


def cancel_all(api: Api, out: Printer, orders: Iterable[Order], wish: CancelOptions) -> int:
    """The exit code: 1 when a cancel that was asked for was refused, or got no answer."""
    plan = Selection()
    for order in orders:
        plan.add(order)
    if not wish.execute:
        out.show({"dryRun": True, **plan.document}, lambda: _planned(plan))
        return 0
    outcomes = _execute(api, plan.orders, wish, lambda done: _tell(out, done, len(plan.orders)))
    outcomes.counts["joined"] += plan.canceled
    outcomes.counts["over"] = plan.over
    document = {"dryRun": False, **plan.document, "outcomes": outcomes.counts, "refused": outcomes.refused}
    out.show(document, lambda: _summary(outcomes))
    return REFUSED if outcomes.refused else 0


@dataclass
class Outcomes:
    counts: dict[str, int]
    refused: list[dict[str, str]] = field(default_factory=list)


def _execute(api: Api, order_ids: Sequence[str], wish: CancelOptions, done: Callable[[int], None]) -> Outcomes:
    outcomes = Outcomes({"accepted": 0, "joined": 0, "pending": 0, "refused": 0, "failed": 0})
    began = time.monotonic()
    for number, order_id in enumerate(order_ids):
        time.sleep(max(0.0, began + number / wish.rate - time.monotonic()))
        try:
            outcomes.counts[_cancel(api, order_id, wish)] += 1
        except Failure as failure:
            outcomes.counts["refused" if failure.members.get("status") == 409 else "failed"] += 1
            outcomes.refused.append({"orderId": order_id, "code": failure.code, "detail": failure.detail})
        done(number + 1)
    return outcomes


def _cancel(api: Api, order_id: str, wish: CancelOptions) -> str:
    """accepted, joined or pending. Raises Failure for a refusal, or when no answer comes; asking again is safe."""
    body = named(wish.by) | {"reason": wish.reason}
    for left in reversed(range(AGAIN)):
        try:
            return str(api.post(f"{order_path(order_id)}/cancel", body).document["decision"])
        except Failure as failure:
            away = failure.code == "api_unreachable" or failure.members.get("status", 0) >= 500
            if not (away and left):
                raise
            time.sleep(PAUSE)
    raise AssertionError("unreachable: the last try answers or raises")


def _tell(out: Printer, done: int, all_: int) -> None:
    if done % 10 == 0 or done == all_:
        out.say(Text(f"{done} of {all_}", style="dim"))


def _planned(plan: Selection) -> Iterator[RenderableType]:
    if not plan.states:
        yield Text("No orders.")
        return
    rows = table("Status", "Orders", "A cancel is", right=("Orders",))
    for status in OrderStatus:
        if plan.states[status]:
            rows.add_row(status.value, str(plan.states[status]), decide(status).decision.value)
    yield rows
    amounts = ", ".join(f"{amount} {name}" for name, amount in plan.document["goesBack"].items()) or "nothing"
    yield Text(f"{len(plan.orders)} orders would be asked to cancel; {amounts} would go back at most.")
    yield Text("Nothing was done: add --execute.", style="yellow")


def _summary(outcomes: Outcomes) -> Iterator[RenderableType]:
    yield Text(", ".join(f"{number} {word}" for word, number in outcomes.counts.items()) + ".")
    for one in outcomes.refused:
        yield Text.assemble(one["orderId"], (f"  [{one['code']}]  ", "dim"), one["detail"])
