"""`make demo`: the whole stack in a throw-away folder, four orders, their stories, and a check of every book.

Exits with 0 only if every outcome, the stock, the money and the labels are right.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from devstack.demo.books import Books, Placed, faults
from devstack.demo.merchant import Merchant, merchant
from devstack.demo.messages import messages_of
from devstack.demo.scenarios import Scenario, scenarios
from devstack.demo.story import Story, console, summary
from devstack.errors import StackError
from devstack.stack.identities import Bearer
from devstack.stack.progress import Progress
from devstack.stack.stack import Stack

ENDED = {"DELIVERED", "CANCELED", "REJECTED"}
PATIENCE = 20.0  # seconds for one order to reach its end
LOOK_EVERY = 0.05  # seconds
LOG_TAIL, LOG_WIDTH = 20, 500  # lines and characters


class StoryStuck(StackError):
    """An order did not get where it should in time."""


class Shop:
    """Places the scenarios at a running stack and tells what becomes of them."""

    def __init__(self, stack: Stack, api: httpx.AsyncClient, books: Books, out: Console) -> None:
        self._stack = stack
        self._api = api
        self._books = books
        self._out = out

    async def play(self, scenario: Scenario) -> Placed:
        """Place the order and follow it to its end."""
        with Story(self._out, scenario.title) as story:
            before = await self._books.stock()
            story.say("checkout", f"POST /api/orders: {_lines(scenario)}", style="magenta")
            story.waiting("checkout ...")
            answer = await self._api.post("/api/orders", json=scenario.body)
            order_id = _order_id(answer)
            told = self._tell(story, await self._order(order_id), 0)
            story.say(f"HTTP {answer.status_code}", _answer_told(answer), style="magenta")
            if scenario.cancel_by_signal:
                told = await self._follow(story, order_id, {"CONFIRMED"}, told)
                await self._check_held(scenario, before)
                await self._signal_cancel(story, order_id)
            await self._follow(story, order_id, ENDED, told)
            return Placed(
                scenario=scenario,
                answer=answer.status_code,
                order=await self._order(order_id),
                before=before,
                after=await self._books.stock(),
                money=await self._books.money(order_id),
                labels=await self._books.labels(order_id),
            )

    async def _follow(self, story: Story, order_id: str, until: set[str], told: int) -> int:
        """Tell the timeline's new entries until a status is reached; returns the last one's sequence."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            order = await self._order(order_id)
            told = self._tell(story, order, told)
            if order["status"] in until:
                return told
            if order["needsAttention"]:
                raise StoryStuck(f"{story.title}: order {order_id} needs a person's attention")
            story.waiting(f"{order['status']}, payment {order['paymentStatus']} ...")
            await asyncio.sleep(LOOK_EVERY)
        wanted = " or ".join(sorted(until))
        raise StoryStuck(
            f"{story.title}: order {order_id} is {order['status']}, not {wanted}, after {PATIENCE:.0f} s"
        )

    def _tell(self, story: Story, order: Mapping[str, Any], told: int) -> int:
        for entry in order["timeline"]:
            if entry["sequence"] > told:
                story.step(entry)
                told = entry["sequence"]
        return told

    async def _check_held(self, scenario: Scenario, before: Mapping[str, tuple[int, int]]) -> None:
        held = await self._books.stock()
        for product, pieces in scenario.held_while_waiting.items():
            if held[product][1] - before[product][1] != pieces:
                raise StoryStuck(f"{scenario.title}: {held[product][1]} of {product} reserved while it waits")

    async def _signal_cancel(self, story: Story, order_id: str) -> None:
        story.say("signal", f"cancel_order -> workflow order-{order_id}", style="magenta")
        client = await self._stack.plan.connect()
        await client.get_workflow_handle(f"order-{order_id}").signal("cancel_order", "changed my mind")

    async def _order(self, order_id: str) -> dict[str, Any]:
        answer = (await self._api.get(f"/api/orders/{order_id}")).raise_for_status()
        order: dict[str, Any] = answer.json()
        return order


def _order_id(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["orderId"])
    except (ValueError, KeyError, TypeError):
        raise StoryStuck(f"POST /api/orders answered {answer.status_code} without an order: {answer.text}") from None


def _lines(scenario: Scenario) -> str:
    lines = ", ".join(f"{item['quantity']} x {item['product_id']}" for item in scenario.body["items"])
    return f"{lines}, paid by {scenario.body['payment_method']}"


def _answer_told(answer: httpx.Response) -> str:
    body = answer.json()
    if answer.is_success:
        return f"{body['status']}, total {body['totalAmount']} {body['currency']}"
    return f"{body.get('title', '')}: {body.get('detail', '')}"


def _row(placed: Placed, ui: str) -> tuple[str, str, str, str, str]:
    title, outcome = placed.scenario.title, str(placed.order["status"])
    link = f"{ui}/namespaces/default/workflows/order-{placed.order['orderId']}"
    return title, outcome, placed.stock_told, placed.money_told, link


async def play_all(stack: Stack, out: Console) -> list[str]:
    """Every scenario, then the table; returns what is wrong."""
    urls = stack.urls

    def client(base: str, who: httpx.Auth | None = None) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=base, trust_env=False, timeout=PATIENCE, auth=who)

    async with (
        client(urls.api, Bearer(stack.folder)) as api,
        client(urls.stripe) as stripe,
        client(urls.carrier) as carrier,
        merchant() as (listener, address),
    ):
        refused = await listener.register(api, address)
        books = Books(api, stripe, carrier)
        shop = Shop(stack, api, books, out)
        placed = [await shop.play(scenario) for scenario in scenarios()]
        wrong = [fault for one in placed for fault in faults(one)] + await books.violations()
        out.print()
        out.print(summary([_row(one, urls.temporal_ui) for one in placed]))
        await _tell_messages(stack.folder / "mail", placed, out)
        return wrong + await _tell_webhooks(listener, refused, placed[0], out)


async def _tell_webhooks(listener: Merchant, refused: str | None, good: Placed, out: Console) -> list[str]:
    """What the merchant got of the good order last, and whether it came from this shop; returns what is wrong."""
    if refused is not None:  # parts of the stack are elsewhere: webhooks go to public addresses only
        out.print(f"  No webhooks to a merchant on this machine: {refused}", markup=False)
        return []
    found = await listener.last_of(str(good.order["orderId"]), "OrderDelivered")
    if found is None:
        return ["the merchant's endpoint never got OrderDelivered of the good order"]
    event, genuine = found
    said = "signature verified" if genuine else "NOT SIGNED BY THIS SHOP"
    out.print(
        f"  Webhook to a merchant: OrderDelivered of {event['subject']}, {said}; {len(listener.got)} in all",
        markup=False,
    )
    return [] if all(ours for _, ours in listener.got) else ["a webhook's signature is not the shop's"]


async def _tell_messages(folder: Path, placed: list[Placed], out: Console) -> None:
    """What each customer was told last; nothing where no consumer of events runs."""
    told = await messages_of(folder, [str(one.order["orderId"]) for one in placed])
    for one in placed if told else []:
        _, subject = told.get(str(one.order["orderId"]), ("", "nothing yet"))
        out.print(f"  {one.scenario.title:<22}last message: {subject}", markup=False)


def tell_logs(logs: Path, out: Console) -> None:
    """What the services said last: the folder is about to go."""
    for name in ("api", "worker", "relay"):
        log = logs / f"{name}.log"
        said = log.read_text(errors="replace").splitlines()[-LOG_TAIL:] if log.exists() else []
        out.print(f"\nThe end of {name}.log:")
        for line in said:
            out.print(f"  | {line[:LOG_WIDTH]}", markup=False, soft_wrap=True)


async def demo() -> int:
    out, began = console(), time.monotonic()
    out.print("[bold]Order Saga[/bold]: starting the stack in a throw-away folder ...")
    with tempfile.TemporaryDirectory(prefix="ordersaga-demo-", ignore_cleanup_errors=True) as folder:
        progress = Progress()
        async with Stack(Path(folder), environ=os.environ, observe=progress) as stack:
            out.print(f"Ready after {progress.seconds:.1f} s. Temporal Web UI: {stack.urls.temporal_ui}")
            try:
                wrong = await play_all(stack, out)
            except (StoryStuck, httpx.HTTPError) as error:
                wrong = [str(error) or repr(error)]
            progress.stopping()
            if wrong:
                tell_logs(stack.folder / "logs", out)
    seconds = time.monotonic() - began
    if wrong:
        out.print(f"\n[bold red]Wrong[/bold red] after {seconds:.1f} s:")
        for fault in wrong:
            out.print(f"  {fault}", markup=False)
        return 1
    out.print(
        f"\n[bold green]All right[/bold green] after {seconds:.1f} s: every outcome, the stock, the money and the "
        "labels agree. The stack is gone again; `make up` keeps one running, with the Web UI."
    )
    return 0
