"""Idempotency keys and fault points of the Stripe simulator, driven by the real SDK."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import stripe

from tests.support.simulators import SDK_WARNING, STRIPE_KEY, StripeProcess, running

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)

CREATE = "payment_intents.create"


@pytest.fixture(scope="module")
async def process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StripeProcess]:
    async with running(StripeProcess(tmp_path_factory.mktemp("stripe"))) as process:
        yield process


@pytest.fixture
async def simulator(process: StripeProcess) -> AsyncIterator[StripeProcess]:
    yield process
    await process.clear_faults()


@pytest.fixture
def order_id() -> str:
    return f"order-{uuid4().hex[:12]}"


async def test_same_key_same_parameters_replays_the_answer(simulator: StripeProcess, order_id: str) -> None:
    """The second call executes nothing and says that it was a replay."""
    first = await simulator.authorized(order_id, key=order_id)
    second = await simulator.authorized(order_id, key=order_id)
    assert first.id == second.id
    assert first.last_response is not None
    assert second.last_response is not None
    assert first.last_response.headers.get("Idempotent-Replayed") is None
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000)]


async def test_same_key_with_other_parameters_is_refused(simulator: StripeProcess, order_id: str) -> None:
    """So is the same key on another endpoint."""
    intent = await simulator.create(key=order_id)
    with pytest.raises(stripe.IdempotencyError) as drifted:
        await simulator.create(key=order_id, amount=1001)
    assert drifted.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        await simulator.client.v1.payment_intents.confirm_async(intent.id, options={"idempotency_key": order_id})


async def test_a_decline_is_replayed(simulator: StripeProcess, order_id: str) -> None:
    """A card error is an outcome: the same key gives the same 402, and the card is not asked twice."""
    seen = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            await simulator.authorized(order_id, key=order_id, payment_method="pm_card_chargeDeclined")
        assert declined.value.error is not None
        assert declined.value.error.payment_intent is not None
        seen.append(declined.value.error.payment_intent.id)
    assert seen[0] == seen[1]


async def test_refused_parameters_are_not_saved(simulator: StripeProcess, order_id: str) -> None:
    """After a validation failure the key is free for the corrected request."""
    with pytest.raises(stripe.InvalidRequestError):
        await simulator.create(key=order_id, amount=1)
    assert (await simulator.create(key=order_id, amount=100)).amount == 100


async def test_a_key_is_forgotten_after_24_hours(simulator: StripeProcess, order_id: str) -> None:
    """Within the day it replays; after it the same key holds the customer's money a second time."""
    first = await simulator.authorized(order_id, key=order_id)
    await simulator.control("clock", advance_seconds=23 * 3600)
    assert (await simulator.authorized(order_id, key=order_id)).id == first.id
    await simulator.control("clock", advance_seconds=3601)
    assert (await simulator.authorized(order_id, key=order_id)).id != first.id
    rules = [violation["rule"] for violation in (await simulator.view("audit"))["violations"]]
    assert rules == ["second_live_authorization"]


async def test_concurrent_use_of_a_key_is_a_conflict(simulator: StripeProcess, order_id: str) -> None:
    """While a slow request executes, its twin is refused with 409, which is not saved."""
    await simulator.control("faults", operation=CREATE, kind="slow", delay_seconds=1.5)
    twins = (simulator.authorized(order_id, key=order_id) for _ in range(2))
    answers = await asyncio.gather(*twins, return_exceptions=True)
    [conflict] = [answer for answer in answers if isinstance(answer, stripe.APIError)]
    assert conflict.http_status == 409
    assert conflict.error is not None
    assert conflict.error.code == "idempotency_key_in_use"
    [slow] = [answer for answer in answers if isinstance(answer, stripe.PaymentIntent)]
    assert slow.id == (await simulator.authorized(order_id, key=order_id)).id


@pytest.mark.parametrize(
    ("kind", "seen"), [("before_effect", "RemoteProtocolError"), ("connection_reset", "ReadError")]
)
async def test_faults_before_the_effect_execute_nothing(
    simulator: StripeProcess, order_id: str, kind: str, seen: str
) -> None:
    """The client learns nothing; the ledger shows that nothing happened; the same key then works."""
    await simulator.control("faults", operation=CREATE, kind=kind)
    with pytest.raises(stripe.APIConnectionError, match=seen):
        await simulator.authorized(order_id, key=order_id)
    assert await simulator.ledger_kinds(order_id) == []
    assert (await simulator.authorized(order_id, key=order_id)).status == "requires_capture"


@pytest.mark.parametrize("kind", ["after_effect_drop", "truncated_body"])
async def test_faults_after_the_effect_lose_only_the_answer(
    simulator: StripeProcess, order_id: str, kind: str
) -> None:
    """The money is held although the client saw an error, and the same key tells what became of it."""
    await simulator.control("faults", operation="payment_intents.*", kind=kind)
    with pytest.raises(stripe.APIConnectionError, match="RemoteProtocolError"):
        await simulator.authorized(order_id, key=order_id)
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000)]
    replay = await simulator.authorized(order_id, key=order_id)
    assert replay.status == "requires_capture"
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000)]


async def test_a_saved_500_is_replayed_although_money_is_held(simulator: StripeProcess, order_id: str) -> None:
    """The same key keeps answering 500: only looking finds the intent."""
    await simulator.control("faults", operation=CREATE, kind="error_500_saved")
    for _ in range(3):
        with pytest.raises(stripe.APIError) as failed:
            await simulator.authorized(order_id, key=order_id)
        assert failed.value.http_status == 500
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000)]
    newest = (await simulator.client.v1.payment_intents.list_async({"limit": 1})).data[0]
    assert (newest.metadata["order_id"], newest.status) == (order_id, "requires_capture")


async def test_an_unsaved_500_and_a_429_leave_the_key_free(simulator: StripeProcess, order_id: str) -> None:
    """Neither executed anything, so a retry does."""
    await simulator.control("faults", operation="*", kind="error_500_unsaved")
    with pytest.raises(stripe.APIError):
        await simulator.authorized(order_id, key=order_id)
    await simulator.control("faults", operation="*", kind="rate_limit_429")
    with pytest.raises(stripe.RateLimitError):
        await simulator.authorized(order_id, key=order_id)
    assert await simulator.ledger_kinds(order_id) == []
    assert (await simulator.authorized(order_id, key=order_id)).status == "requires_capture"


async def test_a_refusal_that_nobody_expects_leaves_the_key_free(simulator: StripeProcess, order_id: str) -> None:
    """400 with a code of the test's own, 402 without a card: nothing executed, nothing kept, a retry executes."""
    await simulator.control("faults", operation=CREATE, kind="refuse_400", code="parameter_invalid_empty")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await simulator.authorized(order_id, key=order_id)
    assert (refused.value.http_status, refused.value.code) == (400, "parameter_invalid_empty")
    await simulator.control("faults", operation=CREATE, kind="refuse_402")
    with pytest.raises(stripe.CardError) as unpaid:  # the SDK's name for every 402
        await simulator.authorized(order_id, key=order_id)
    assert unpaid.value.error is not None and unpaid.value.error.type == "invalid_request_error"
    assert await simulator.ledger_kinds(order_id) == []
    assert (await simulator.authorized(order_id, key=order_id)).status == "requires_capture"


async def test_a_rule_shows_as_often_as_told_and_only_where_told(simulator: StripeProcess, order_id: str) -> None:
    """Two captures fail, the third works; other operations were never touched."""
    await simulator.control("faults", operation="payment_intents.capture", kind="before_effect", times=2)
    intent = await simulator.authorized(order_id)
    for _ in range(2):
        with pytest.raises(stripe.APIConnectionError):
            await simulator.client.v1.payment_intents.capture_async(intent.id)
    assert (await simulator.client.v1.payment_intents.capture_async(intent.id)).status == "succeeded"


async def test_a_seeded_mix_gives_the_same_faults_again(simulator: StripeProcess) -> None:
    """The same seed and the same calls fail at the same places; without the mix nothing fails."""

    async def outcomes() -> list[str]:
        rates = {"before_effect": 0.3, "error_500_unsaved": 0.3}
        await simulator.control("fault_mix", seed=7, rates=rates)
        seen = []
        for _ in range(20):
            try:
                await simulator.create()
                seen.append("ok")
            except stripe.StripeError as error:
                seen.append(type(error).__name__)
        return seen

    first = await outcomes()
    assert set(first) == {"ok", "APIConnectionError", "APIError"}
    assert await outcomes() == first
    await simulator.clear_faults()
    assert (await simulator.create()).status == "requires_confirmation"


async def test_many_requests_at_once_are_all_served(simulator: StripeProcess) -> None:
    """300 confirmed intents from 20 connections: every one is answered, and each with a payment of its own."""
    form = {
        "amount": "1000",
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "allowed_payment_method_types[]": "card",
    }
    headers = {"Authorization": f"Bearer {STRIPE_KEY}"}

    made: set[str] = set()

    async def some() -> None:
        for _ in range(15):
            form_now = {**form, "capture_method": "manual", "confirm": "true"}
            answer = await simulator.http.post("/v1/payment_intents", data=form_now, headers=headers)
            assert answer.json()["status"] == "requires_capture"
            made.add(answer.json()["id"])

    await asyncio.gather(*(some() for _ in range(20)))
    assert len(made) == 300
