"""Disputes, reviews, partial captures and the events of each at the Stripe simulator, driven by the real SDK."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import stripe

from tests.support.simulators import SDK_WARNING, StripeProcess, running

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)


@pytest.fixture(scope="module")
async def simulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StripeProcess]:
    async with running(StripeProcess(tmp_path_factory.mktemp("stripe"))) as process:
        yield process


@pytest.fixture
def order_id() -> str:
    return f"order-{uuid4().hex[:12]}"


async def paid(simulator: StripeProcess, order_id: str) -> stripe.PaymentIntent:
    return await simulator.authorized(order_id, capture_method="automatic")


async def events_about(simulator: StripeProcess, object_id: str) -> list[str]:
    """Types of the events whose object this is, oldest first."""
    page = await simulator.client.v1.events.list_async({"limit": 100})
    return [str(event.type) for event in page.data if event.data.object["id"] == object_id][::-1]


@pytest.mark.parametrize(
    ("outcome", "ledger", "told", "kept"),
    [
        ("lost", ["dispute_withdrawn"], ["created", "funds_withdrawn", "closed"], 0),
        (
            "won",
            ["dispute_withdrawn", "dispute_reinstated"],
            ["created", "funds_withdrawn", "funds_reinstated", "closed"],
            1,
        ),
    ],
)
async def test_a_dispute_takes_the_money_until_it_is_decided(
    simulator: StripeProcess, order_id: str, outcome: str, ledger: list[str], told: list[str], kept: int
) -> None:
    """Withdrawn at once; back again when it is won; each step is an event with the dispute in it."""
    before = (await simulator.view("audit"))["charged_payments"]
    intent = await paid(simulator, order_id)
    opened = await simulator.control("disputes", payment_intent=intent.id, reason="product_not_received")
    charge = await simulator.client.v1.charges.retrieve_async(str(intent.latest_charge))
    assert (charge.disputed, opened["payment_intent"], opened["amount"]) == (True, intent.id, 1000)
    await simulator.control(f"disputes/{opened['id']}/close", status=outcome)
    dispute = await simulator.client.v1.disputes.retrieve_async(opened["id"])
    assert (dispute.status, dispute.reason) == (outcome, "product_not_received")
    listed = await simulator.client.v1.disputes.list_async({"payment_intent": intent.id})
    assert [found.id for found in listed.data] == [dispute.id]
    assert await events_about(simulator, dispute.id) == [f"charge.dispute.{name}" for name in told]
    kinds = [kind for kind, _ in await simulator.ledger_kinds(order_id)]
    assert kinds == ["authorize", "capture", *ledger]
    assert (await simulator.view("audit"))["charged_payments"] - before == kept


async def test_a_disputed_charge_cannot_be_refunded(simulator: StripeProcess, order_id: str) -> None:
    """Not while it is open, not after it was lost; after it was won it can."""
    refunds = simulator.client.v1.refunds
    for outcome, refundable in (("lost", False), ("won", True)):
        intent = await paid(simulator, f"{order_id}-{outcome}")
        dispute = await simulator.control("disputes", payment_intent=intent.id, reason="fraudulent")
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await refunds.create_async({"payment_intent": intent.id})
        assert (refused.value.http_status, refused.value.code) == (400, "charge_disputed")
        await simulator.control(f"disputes/{dispute['id']}/close", status=outcome)
        if refundable:
            assert (await refunds.create_async({"payment_intent": intent.id})).status == "succeeded"
        else:
            with pytest.raises(stripe.InvalidRequestError):
                await refunds.create_async({"payment_intent": intent.id})
    assert (await simulator.view("audit"))["violations"] == []


async def test_an_inquiry_withdraws_nothing(simulator: StripeProcess, order_id: str) -> None:
    """It can end without ever becoming a dispute, and the charge stays refundable."""
    intent = await paid(simulator, order_id)
    inquiry = await simulator.control(
        "disputes", payment_intent=intent.id, reason="unrecognized", status="warning_needs_response"
    )
    await simulator.client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 100})
    await simulator.control(f"disputes/{inquiry['id']}/close", status="warning_closed")
    assert await events_about(simulator, inquiry["id"]) == ["charge.dispute.created", "charge.dispute.closed"]
    assert [kind for kind, _ in await simulator.ledger_kinds(order_id)] == ["authorize", "capture", "refund"]


async def test_disputes_that_cannot_be_are_refused(simulator: StripeProcess, order_id: str) -> None:
    """Of money that was only held, twice, of an unknown intent, and endings that its state does not have."""
    held, taken = await simulator.authorized(f"{order_id}-h"), await paid(simulator, order_id)
    dispute = await simulator.control("disputes", payment_intent=taken.id, reason="fraudulent")
    nonsense: list[tuple[str, dict[str, Any]]] = [
        ("disputes", {"payment_intent": held.id}),
        ("disputes", {"payment_intent": taken.id}),
        ("disputes", {"payment_intent": "pi_unheard"}),
        ("disputes", {"payment_intent": taken.id, "status": "lost"}),
        (f"disputes/{dispute['id']}/close", {"status": "warning_closed"}),
    ]
    for path, body in nonsense:
        assert (await simulator.http.post(f"/_control/{path}", json=body)).status_code == 400, (path, body)


async def test_an_elevated_risk_opens_a_review_that_a_person_approves(
    simulator: StripeProcess, order_id: str
) -> None:
    """The money is held meanwhile; the intent names its review; approving twice is refused."""
    intent: Any = await simulator.authorized(
        order_id, payment_method="pm_card_riskLevelElevated", expand=["latest_charge"]
    )
    assert (intent.status, intent.latest_charge.outcome.type) == ("requires_capture", "manual_review")
    reviews = simulator.client.v1.reviews
    review = await reviews.retrieve_async(intent.review)
    assert (review.open, review.reason, review.payment_intent) == (True, "rule", intent.id)
    approved = await reviews.approve_async(review.id)
    assert (approved.open, approved.closed_reason) == (False, "approved")
    assert await events_about(simulator, review.id) == ["review.opened", "review.closed"]
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        await reviews.approve_async(review.id)


@pytest.mark.parametrize("ending", ["canceled", "refunded", "refunded_as_fraud", "disputed", "payment_never_settled"])
async def test_the_end_of_a_payment_ends_its_review(simulator: StripeProcess, order_id: str, ending: str) -> None:
    """A review opened by hand closes by itself, and says why."""
    client = simulator.client.v1
    held = ending in ("canceled", "payment_never_settled")
    intent = await (simulator.authorized(order_id) if held else paid(simulator, order_id))
    review = await simulator.control("reviews", payment_intent=intent.id)
    assert review["opened_reason"] == "manual"
    match ending:
        case "canceled":
            await client.payment_intents.cancel_async(intent.id)
        case "payment_never_settled":
            await simulator.control("clock", advance_seconds=8 * 24 * 3600)
        case "disputed":
            await simulator.control("disputes", payment_intent=intent.id)
        case _:
            why = "fraudulent" if ending == "refunded_as_fraud" else "requested_by_customer"
            await client.refunds.create_async({"payment_intent": intent.id, "reason": why})
    assert (await client.reviews.retrieve_async(review["id"])).closed_reason == ending


async def test_a_partial_capture_and_several_refunds_stay_within_what_was_taken(
    simulator: StripeProcess, order_id: str
) -> None:
    """700 of 1000 are taken and 300 released; 200 and 500 go back; nothing is left to refund."""
    intent = await simulator.authorized(order_id)
    await simulator.client.v1.payment_intents.capture_async(intent.id, {"amount_to_capture": 700})
    refunds = simulator.client.v1.refunds
    await refunds.create_async({"payment_intent": intent.id, "amount": 200})
    with pytest.raises(stripe.InvalidRequestError) as above:
        await refunds.create_async({"payment_intent": intent.id, "amount": 501})
    assert above.value.code == "amount_too_large"
    await refunds.create_async({"payment_intent": intent.id, "amount": 500})
    with pytest.raises(stripe.InvalidRequestError) as spent:
        await refunds.create_async({"payment_intent": intent.id, "amount": 50})
    assert spent.value.code == "charge_already_refunded"
    moved = [("authorize", 1000), ("capture", 700), ("release", 300), ("refund", 200), ("refund", 500)]
    assert await simulator.ledger_kinds(order_id) == moved
    assert (await simulator.view("audit"))["violations"] == []


async def test_events_are_listed_by_type_time_and_page(simulator: StripeProcess, order_id: str) -> None:
    """Newest first; a glob, several types, `created` from and to, and pages without gaps or repeats."""

    async def listed(**params: Any) -> list[stripe.Event]:
        asked: Any = {"created": {"gte": start}, **params}
        page = await simulator.client.v1.events.list_async(asked)
        return [event async for event in page.auto_paging_iter()]

    start = int((await simulator.control("clock", advance_seconds=100))["now"])
    intent = await paid(simulator, order_id)
    dispute = await simulator.control("disputes", payment_intent=intent.id)
    late = int((await simulator.control("clock", advance_seconds=100))["now"])
    await simulator.control(f"disputes/{dispute['id']}/close", status="won")
    disputed = await listed(type="charge.dispute.*", limit=1)
    kinds = ["closed", "funds_reinstated", "funds_withdrawn", "created"]
    assert [event.type.removeprefix("charge.dispute.") for event in disputed] == kinds
    both = ["charge.dispute.closed", "payment_intent.succeeded"]
    assert [event.type for event in await listed(types=both)] == both
    newest = await listed(created={"gte": late})
    assert [event.id for event in newest] == [event.id for event in disputed[:2]]
    early = await listed(created={"gte": start, "lt": late})
    assert {event.id for event in early}.isdisjoint(event.id for event in newest)
    after = await listed(starting_after=newest[0].id)
    assert [event.id for event in after] == [newest[1].id, *(event.id for event in early)]
    with pytest.raises(stripe.InvalidRequestError):
        await listed(type="review.opened", types=both)
    with pytest.raises(stripe.InvalidRequestError, match="at most 20"):
        await listed(types=["charge.captured"] * 21)


async def test_403_is_a_permission_error(simulator: StripeProcess) -> None:
    """A key that exists but may not is another error than a key that does not exist."""
    await simulator.control("api_key", accept=False, status=403)
    with pytest.raises(stripe.PermissionError):
        await simulator.create()
    await simulator.control("api_key", accept=True)
    assert (await simulator.create()).status == "requires_confirmation"
