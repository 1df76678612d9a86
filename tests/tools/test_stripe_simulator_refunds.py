"""Refunds, lists, search, customers and events of the Stripe simulator, driven by the real SDK."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
import stripe

from tests.support.simulators import SDK_WARNING, StripeProcess, running

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)


@pytest.fixture(scope="module")
async def simulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StripeProcess]:
    async with running(StripeProcess(tmp_path_factory.mktemp("stripe"))) as process:
        yield process


@pytest.fixture
async def usual_refunds(simulator: StripeProcess) -> AsyncIterator[None]:
    yield
    await simulator.control("refunds", status="succeeded")


@pytest.fixture
def order_id() -> str:
    return f"order-{uuid4().hex[:12]}"


async def test_refunds_never_exceed_what_was_captured(simulator: StripeProcess, order_id: str) -> None:
    """400 and then 900 of 1000: the second is refused; the rest can go back; then nothing more."""
    refunds = simulator.client.v1.refunds
    intent = await simulator.authorized(order_id, capture_method="automatic")
    first = await refunds.create_async(
        {"payment_intent": intent.id, "amount": 400, "reason": "requested_by_customer"}
    )
    assert (first.status, first.amount, first.charge) == ("succeeded", 400, intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as above:
        await refunds.create_async({"payment_intent": intent.id, "amount": 900})
    assert above.value.code == "amount_too_large"
    rest = await refunds.create_async({"payment_intent": intent.id, "metadata": {"op_id": "undo-1"}})
    assert rest.amount == 600
    with pytest.raises(stripe.InvalidRequestError) as again:
        await refunds.create_async({"payment_intent": intent.id})
    assert again.value.code == "charge_already_refunded"
    charge = await simulator.client.v1.charges.retrieve_async(str(intent.latest_charge))
    assert (charge.refunded, charge.amount_refunded) == (True, 1000)
    kinds = [("authorize", 1000), ("capture", 1000), ("refund", 400), ("refund", 600)]
    assert await simulator.ledger_kinds(order_id) == kinds
    listed = await refunds.list_async({"payment_intent": intent.id})
    assert [refund.id for refund in listed.data] == [rest.id, first.id]
    assert listed.data[0].metadata is not None
    assert listed.data[0].metadata["op_id"] == "undo-1"


async def test_money_that_was_only_held_cannot_be_refunded(simulator: StripeProcess, order_id: str) -> None:
    """An authorization is canceled, not refunded."""
    intent = await simulator.authorized(order_id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await simulator.client.v1.refunds.create_async({"payment_intent": intent.id})
    assert refused.value.code == "charge_not_refundable"


@pytest.mark.usefixtures("usual_refunds")
async def test_a_pending_refund_succeeds_when_the_bank_says_so(simulator: StripeProcess, order_id: str) -> None:
    """Until then it is pending, and counts already."""
    await simulator.control("refunds", status="pending")
    intent = await simulator.authorized(order_id, capture_method="automatic")
    refund = await simulator.client.v1.refunds.create_async({"payment_intent": intent.id})
    assert refund.status == "pending"
    await simulator.control(f"refunds/{refund.id}", status="succeeded")
    assert (await simulator.client.v1.refunds.retrieve_async(refund.id)).status == "succeeded"


@pytest.mark.usefixtures("usual_refunds")
async def test_a_failed_refund_gives_the_amount_back_to_the_charge(simulator: StripeProcess, order_id: str) -> None:
    """After the failure the whole amount can be refunded anew."""
    await simulator.control("refunds", status="pending", settles_to="failed", settles_after_seconds=100)
    intent = await simulator.authorized(order_id, capture_method="automatic")
    refund = await simulator.client.v1.refunds.create_async({"payment_intent": intent.id})
    await simulator.control("clock", advance_seconds=101)
    assert (await simulator.client.v1.refunds.retrieve_async(refund.id)).status == "failed"
    await simulator.control("refunds", status="succeeded")
    again = await simulator.client.v1.refunds.create_async({"payment_intent": intent.id})
    assert (again.status, again.amount) == ("succeeded", 1000)
    assert (await simulator.view("audit"))["violations"] == []


async def test_lists_are_paged_newest_first(simulator: StripeProcess) -> None:
    """By customer, with starting_after, nothing twice and nothing missed."""
    customer = await simulator.client.v1.customers.create_async({"email": "ada@example.com", "name": "Ada"})
    assert (await simulator.client.v1.customers.retrieve_async(customer.id)).email == "ada@example.com"
    made = [(await simulator.create(customer=customer.id)).id for _ in range(5)]
    first = await simulator.client.v1.payment_intents.list_async({"customer": customer.id, "limit": 2})
    assert [intent.id for intent in first.data] == made[:-3:-1]
    assert first.has_more
    everything = [intent.id async for intent in first.auto_paging_iter()]
    assert everything == made[::-1]


async def test_lists_can_be_cut_by_creation_time(simulator: StripeProcess) -> None:
    """created[gte] and created[lt] split the list where they say."""
    await simulator.create()
    await simulator.control("clock", advance_seconds=50)
    late = await simulator.create()
    after = await simulator.client.v1.payment_intents.list_async({"created": {"gte": late.created}})
    before = await simulator.client.v1.payment_intents.list_async({"created": {"lt": late.created}})
    assert [intent.id for intent in after.data] == [late.id]
    assert before.data
    assert late.id not in [intent.id for intent in before.data]


async def test_search_finds_by_metadata_only_after_its_lag(simulator: StripeProcess, order_id: str) -> None:
    """Search is not read-after-write; a list is."""
    intents = simulator.client.v1.payment_intents
    await simulator.control("search_lag", seconds=30)
    intent = await simulator.authorized(order_id)
    query = f"metadata['order_id']:'{order_id}' AND status:'requires_capture'"
    assert (await intents.search_async({"query": query})).data == []
    assert (await intents.list_async({"limit": 1})).data[0].id == intent.id
    await simulator.control("clock", advance_seconds=31)
    assert [found.id for found in (await intents.search_async({"query": query})).data] == [intent.id]
    assert (await intents.search_async({"query": f'metadata["order_id"]:"{order_id}-"'})).data == []


async def test_events_can_be_read_later(simulator: StripeProcess, order_id: str) -> None:
    """Whoever missed a webhook finds the event by its type, as it was sent."""
    intent = await simulator.authorized(order_id)
    await simulator.client.v1.payment_intents.cancel_async(intent.id)
    events = simulator.client.v1.events
    newest = (await events.list_async({"type": "payment_intent.canceled", "limit": 1})).data[0]
    assert newest.data.object["id"] == intent.id
    assert (await events.retrieve_async(newest.id)).type == "payment_intent.canceled"
    both = await events.list_async({"types": ["payment_intent.created", "payment_intent.canceled"], "limit": 2})
    assert [event.type for event in both.data] == ["payment_intent.canceled", "payment_intent.created"]


async def test_the_audit_reports_a_second_live_authorization(simulator: StripeProcess, order_id: str) -> None:
    """Two holds for one order are a violation, even after one of them is captured."""
    assert (await simulator.view("audit"))["violations"] == []
    first = await simulator.authorized(order_id)
    await simulator.client.v1.payment_intents.capture_async(first.id)
    second = await simulator.authorized(order_id)
    (violation,) = (await simulator.view("audit"))["violations"]
    assert (violation["rule"], violation["order_id"]) == ("second_live_authorization", order_id)
    assert violation["entry"]["payment_intent"] == second.id


async def test_control_bodies_that_make_no_sense_are_refused(simulator: StripeProcess) -> None:
    """A misspelled fault must not pass for a fault run without faults."""
    nonsense: list[tuple[str, object]] = [
        ("faults", {"operation": "*", "kind": "gremlin"}),
        ("faults", {"operation": "*", "kind": "slow", "seconds": 1}),
        ("fault_mix", {"seed": 1, "rates": {"slow": 0.7, "before_effect": 0.7}}),
        ("webhooks", {"twice": 1}),
        ("refunds", {"status": "perhaps"}),
        ("clock", {}),
    ]
    for path, body in nonsense:
        answer: httpx.Response = await simulator.http.post(f"/_control/{path}", json=body)
        assert answer.status_code == 400, (path, answer.text)
    assert (await simulator.view("faults"))["rules"] == []
