"""Webhooks of the Stripe simulator, and what survives a kill."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest
import stripe

from tests.support.simulators import (
    PROJECT,
    SDK_WARNING,
    STRIPE_KEY,
    STRIPE_SECRET,
    StripeProcess,
    WebhookReceiver,
    running,
)

Answer = TypeVar("Answer")

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    receiver = WebhookReceiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def simulator(tmp_path: Path, receiver: WebhookReceiver) -> AsyncIterator[StripeProcess]:
    async with running(StripeProcess(tmp_path, "--webhook-url", receiver.url)) as process:
        yield process


def types_of(receiver: WebhookReceiver) -> Counter[str]:
    return Counter(json.loads(delivery.body)["type"] for delivery in receiver.deliveries)


async def test_webhooks_are_signed_as_the_sdk_verifies(simulator: StripeProcess, receiver: WebhookReceiver) -> None:
    """The SDK takes the raw body with the right secret, and refuses it with another one."""
    await simulator.create()
    (delivery,) = await receiver.wait_for(1)
    signature = delivery.headers["stripe-signature"]
    event = simulator.client.construct_event(delivery.body, signature, STRIPE_SECRET)
    assert (event.type, event.api_version, event.livemode) == ("payment_intent.created", stripe.api_version, False)
    with pytest.raises(stripe.SignatureVerificationError):
        simulator.client.construct_event(delivery.body, signature, "whsec_other")


async def test_every_step_of_a_payment_is_told(simulator: StripeProcess, receiver: WebhookReceiver) -> None:
    """Hold, capture, refund: one event for each thing that happened, none for what did not."""
    intent = await simulator.authorized("o1")
    await simulator.client.v1.payment_intents.capture_async(intent.id)
    await simulator.client.v1.refunds.create_async({"payment_intent": intent.id})
    await receiver.wait_for(6)
    told = ["payment_intent.created", "payment_intent.amount_capturable_updated", "charge.captured"]
    told += ["payment_intent.succeeded", "refund.created", "charge.refunded"]
    assert types_of(receiver) == Counter(told)


async def test_failures_and_expiry_are_told(simulator: StripeProcess, receiver: WebhookReceiver) -> None:
    """A decline, a 3-D Secure challenge and an authorization that ran out of time."""
    with pytest.raises(stripe.CardError):
        await simulator.authorized("o1", payment_method="pm_card_chargeDeclined")
    await simulator.authorized("o2", payment_method="pm_card_authenticationRequired")
    await simulator.authorized("o3")
    await simulator.control("clock", advance_seconds=8 * 24 * 3600)
    await receiver.wait_for(8)
    told = ["payment_intent.created"] * 3 + ["payment_intent.payment_failed", "payment_intent.requires_action"]
    told += ["payment_intent.amount_capturable_updated", "charge.expired", "payment_intent.canceled"]
    assert types_of(receiver) == Counter(told)


async def test_a_refused_webhook_is_sent_again(simulator: StripeProcess, receiver: WebhookReceiver) -> None:
    """The same event comes until it is answered with a 2xx, and then no more."""
    receiver.answers = [500, 503]
    await simulator.create()
    deliveries = await receiver.wait_for(3)
    assert len({json.loads(delivery.body)["id"] for delivery in deliveries}) == 1
    await simulator.all_webhooks_sent()
    assert len(receiver.deliveries) == 3


async def test_webhooks_wait_for_a_receiver_that_is_away(simulator: StripeProcess, receiver: WebhookReceiver) -> None:
    """Also over a kill -9 of the simulator: the queue is on disk."""
    await receiver.stop()
    intent = await simulator.create()
    simulator.kill()
    await simulator.start()
    assert (await simulator.view("webhooks"))["pending"] == 1
    await receiver.start()
    (delivery,) = await receiver.wait_for(1)
    assert json.loads(delivery.body)["data"]["object"]["id"] == intent.id


async def test_webhooks_can_be_lost_or_doubled(simulator: StripeProcess, receiver: WebhookReceiver) -> None:
    """A lost one never comes, though the event can be listed; a doubled one comes twice with one id."""
    await simulator.control("webhooks", lose=1.0)
    lost = await simulator.create()
    await simulator.control("webhooks", duplicate=1.0)
    doubled = await simulator.create()
    first, second = await receiver.wait_for(2)
    assert json.loads(first.body)["id"] == json.loads(second.body)["id"]
    assert json.loads(first.body)["data"]["object"]["id"] == doubled.id
    listed = [event.data.object["id"] for event in (await simulator.client.v1.events.list_async()).data]
    assert listed == [doubled.id, lost.id]


async def test_webhooks_can_be_reordered(simulator: StripeProcess, receiver: WebhookReceiver) -> None:
    """Held back at random, they arrive all, in another order than they were made in."""
    await simulator.control("webhooks", reorder=0.5, seed=3)
    made = [(await simulator.create()).id for _ in range(10)]
    await receiver.wait_for(10)
    came = [json.loads(delivery.body)["data"]["object"]["id"] for delivery in receiver.deliveries]
    assert sorted(came) == sorted(made)
    assert came != made


async def test_kill_and_restart_keep_the_ledger(simulator: StripeProcess) -> None:
    """What was answered before kill -9 is there after it: the intent, the key, the ledger, the clock."""
    await simulator.control("clock", advance_seconds=3600)
    held = await simulator.create(key="k1", confirm=True, metadata={"order_id": "o1"})
    simulator.kill()
    await simulator.start()
    intents = simulator.client.v1.payment_intents
    assert (await intents.retrieve_async(held.id)).status == "requires_capture"
    replay = await simulator.create(key="k1", confirm=True, metadata={"order_id": "o1"})
    assert (replay.id, await simulator.ledger_kinds("o1")) == (held.id, [("authorize", 1000)])
    assert (await simulator.create()).created - held.created < 60


async def test_a_kill_in_the_middle_of_work_loses_and_doubles_nothing(simulator: StripeProcess) -> None:
    """Twelve payments go on over three kills by the same keys; each was made, captured and part refunded once."""
    intents, refunds = simulator.client.v1.payment_intents, simulator.client.v1.refunds
    answered: set[str] = set()
    progress, alive = asyncio.Event(), asyncio.Event()
    alive.set()

    async def insist(call: Callable[[], Awaitable[Answer]], step: str) -> Answer:
        while True:
            try:
                answer = await call()
            except stripe.APIConnectionError:
                await alive.wait()
            else:
                answered.add(step)
                progress.set()
                return answer

    async def pay(order: str) -> None:
        made = await insist(lambda: simulator.create(key=f"{order}:c", metadata={"order_id": order}), f"{order}:c")
        for step, act in (("confirm", intents.confirm_async), ("capture", intents.capture_async)):
            key = f"{order}:{step}"
            await insist(partial(act, made.id, options={"idempotency_key": key}), key)
        back: Any = {"payment_intent": made.id, "amount": 300}
        await insist(lambda: refunds.create_async(back, {"idempotency_key": f"{order}:r"}), f"{order}:r")

    orders = [f"o{number}" for number in range(12)]
    work = [asyncio.create_task(pay(order)) for order in orders]
    for steps in (6, 18, 36):
        while len(answered) < steps:
            progress.clear()
            await progress.wait()
        alive.clear()
        simulator.kill()
        await simulator.start()
        alive.set()
    await asyncio.gather(*work)
    done = [("authorize", 1000), ("capture", 1000), ("refund", 300)]
    assert [await simulator.ledger_kinds(order) for order in orders] == [done] * 12
    assert (await simulator.view("audit"))["violations"] == []


async def test_the_audit_can_be_run_on_the_file(simulator: StripeProcess) -> None:
    """`audit --data` answers without the process, and its exit code says whether something was violated."""
    command = [sys.executable, "-m", "devstack.stripe.simulator", "audit", "--data", str(simulator.data)]
    await simulator.authorized("o1")
    simulator.kill()
    clean = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)  # noqa: ASYNC221
    assert (clean.returncode, json.loads(clean.stdout)["counts"]) == (0, {"authorize": 1})
    await simulator.start()
    await simulator.authorized("o1")
    violated = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)  # noqa: ASYNC221
    assert violated.returncode == 1


async def test_sigterm_stops_it_at_once_even_during_a_slow_request(simulator: StripeProcess) -> None:
    """A stack can be stopped without waiting for requests that were told to be slow."""
    await simulator.control("faults", operation="*", kind="slow", delay_seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        await simulator.http.get("/v1/events", auth=(STRIPE_KEY, ""), timeout=0.1)
    assert simulator.stop() < 15  # half of what the request was told to take


async def test_it_sleeps_while_nothing_happens(simulator: StripeProcess) -> None:
    """With an authorization waiting to expire in seven days, an idle second costs next to no CPU."""
    await simulator.authorized("o1")
    await simulator.all_webhooks_sent()
    process = psutil.Process(simulator.pid)
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(1)
    assert sum(process.cpu_times()[:2]) - before <= 0.03
