"""Customers, saved payment methods and off-session payments of the Stripe simulator, driven by the real SDK."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import stripe

from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.customers import CustomerGateway
from tests.support.simulators import SDK_WARNING, STRIPE_KEY, StripeProcess, running

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)

HOUR = 3600


@pytest.fixture(scope="module")
async def simulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StripeProcess]:
    async with running(StripeProcess(tmp_path_factory.mktemp("stripe"))) as process:
        yield process


@pytest.fixture
def order_id() -> str:
    return f"order-{uuid4().hex[:12]}"


@pytest.fixture
async def customer(simulator: StripeProcess) -> str:
    return (await simulator.client.v1.customers.create_async({"email": f"{uuid4().hex}@example.com"})).id


async def saved_method(simulator: StripeProcess, customer: str, card: str = "pm_card_visa") -> str:
    """A payment method that the customer keeps since a payment of today."""
    paid = await simulator.create(
        customer=customer, payment_method=card, setup_future_usage="off_session", confirm=True
    )
    if paid.status == "requires_action":
        await simulator.control(f"payment_intents/{paid.id}/authenticate", succeed=True)
    return str(paid.payment_method)


async def test_customers_are_created_read_and_listed(simulator: StripeProcess) -> None:
    """By e-mail too, newest first."""
    customers = simulator.client.v1.customers
    made = [
        (await customers.create_async({"email": "ada@example.com", "metadata": {"id": "7"}})).id for _ in range(2)
    ]
    read = await customers.retrieve_async(made[0])
    assert (read.email, read.metadata["id"] if read.metadata else None) == ("ada@example.com", "7")
    listed = await customers.list_async({"email": "ada@example.com"})
    assert [found.id for found in listed.data] == made[::-1]


async def test_a_test_payment_method_becomes_an_id_of_its_own(simulator: StripeProcess) -> None:
    """Each use of a test name is another card, as at Stripe."""
    first, second = await simulator.create(), await simulator.create()
    assert str(first.payment_method).startswith("pm_")
    assert first.payment_method not in ("pm_card_visa", second.payment_method)


async def test_a_saved_method_pays_again_off_session(simulator: StripeProcess, customer: str, order_id: str) -> None:
    """The second payment is held for four days and eighteen hours, not for seven days."""
    method = await saved_method(simulator, customer)
    intent = await simulator.create(customer=customer, payment_method=method, metadata={"order_id": order_id})
    params: Any = {"off_session": True, "expand": ["latest_charge"]}
    held: Any = await simulator.client.v1.payment_intents.confirm_async(intent.id, params)
    card = held.latest_charge.payment_method_details.card
    assert (held.status, held.payment_method) == ("requires_capture", method)
    assert card.capture_before - held.latest_charge.created == (4 * 24 + 18) * HOUR
    await simulator.control("clock", advance_seconds=(4 * 24 + 18) * HOUR - 60)
    assert (await simulator.client.v1.payment_intents.retrieve_async(intent.id)).status == "requires_capture"
    await simulator.control("clock", advance_seconds=61)
    assert (await simulator.client.v1.payment_intents.retrieve_async(intent.id)).status == "canceled"
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000), ("expire", 1000)]


async def test_a_method_is_saved_only_by_a_confirmation_that_went_well(
    simulator: StripeProcess, customer: str
) -> None:
    """A card that was declined, or was not yet authenticated, is nobody's."""
    asked: dict[str, Any] = {"customer": customer, "setup_future_usage": "off_session", "confirm": True}
    with pytest.raises(stripe.CardError):
        await simulator.create(payment_method="pm_card_chargeDeclined", **asked)
    waiting = await simulator.create(payment_method="pm_card_authenticationRequired", **asked)
    other = (await simulator.client.v1.customers.create_async({})).id
    method = str(waiting.payment_method)
    assert (await simulator.create(customer=other, payment_method=method)).status == "requires_confirmation"
    await simulator.control(f"payment_intents/{waiting.id}/authenticate", succeed=True)
    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        await simulator.create(customer=other, payment_method=method)


@pytest.mark.parametrize(("named", "said"), [(True, "does not have a payment method"), (False, "belongs to")])
async def test_a_saved_method_is_its_customers_alone(
    simulator: StripeProcess, customer: str, named: bool, said: str
) -> None:
    """Neither another customer nor an intent without one can use it."""
    method = await saved_method(simulator, customer)
    other = (await simulator.client.v1.customers.create_async({})).id if named else None
    with pytest.raises(stripe.InvalidRequestError, match=said) as refused:
        await simulator.create(customer=other, payment_method=method)
    assert (refused.value.http_status, refused.value.param) == (400, "payment_method")


async def test_a_method_that_nobody_keeps_pays_once(simulator: StripeProcess, customer: str) -> None:
    """Not even the same customer can use it again when it was not saved."""
    intent = await simulator.create(customer=customer, confirm=True)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await simulator.create(customer=customer, payment_method=intent.payment_method)


async def test_a_method_used_up_meanwhile_cannot_be_confirmed(simulator: StripeProcess) -> None:
    """Two intents of one card that nobody keeps: the second confirmation is refused."""
    first = await simulator.create()
    second = await simulator.create(payment_method=first.payment_method)
    await simulator.client.v1.payment_intents.confirm_async(first.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await simulator.client.v1.payment_intents.confirm_async(second.id)


async def test_a_card_that_always_asks_is_declined_off_session(simulator: StripeProcess, customer: str) -> None:
    """402 authentication_required, and the intent waits for another method."""
    method = await saved_method(simulator, customer, "pm_card_authenticationRequired")
    intent = await simulator.create(customer=customer, payment_method=method)
    with pytest.raises(stripe.CardError) as declined:
        await simulator.client.v1.payment_intents.confirm_async(intent.id, {"off_session": True})
    assert (declined.value.http_status, declined.value.code) == (402, "authentication_required")
    after = await simulator.client.v1.payment_intents.retrieve_async(intent.id)
    assert (after.status, after.payment_method) == ("requires_payment_method", None)


async def test_a_card_that_asks_at_setup_pays_off_session_once_saved(simulator: StripeProcess, customer: str) -> None:
    """The customer authenticated when it was saved; that counts."""
    method = await saved_method(simulator, customer, "pm_card_authenticationRequiredOnSetup")
    renewed = await simulator.create(customer=customer, payment_method=method, confirm=True, off_session=True)
    assert renewed.status == "requires_capture"


async def test_the_outcome_of_a_saved_method_can_be_set(simulator: StripeProcess, customer: str) -> None:
    """A card that was good yesterday has no funds today, and is good again tomorrow; it stays the customer's."""
    method = await saved_method(simulator, customer)
    asked: dict[str, Any] = {"customer": customer, "payment_method": method, "confirm": True, "off_session": True}
    for decline_code, code in (("insufficient_funds", "card_declined"), ("expired_card", "expired_card")):
        await simulator.control(f"payment_methods/{method}", decline_code=decline_code)
        with pytest.raises(stripe.CardError) as declined:
            await simulator.create(**asked)
        assert declined.value.error is not None
        assert (declined.value.error.decline_code, declined.value.code) == (decline_code, code)
    await simulator.control(f"payment_methods/{method}", decline_code=None)
    assert (await simulator.create(**asked)).status == "requires_capture"


async def test_the_customer_of_an_intent_is_set_once(simulator: StripeProcess, customer: str) -> None:
    """An intent without one takes one; it never changes hands."""
    intents = simulator.client.v1.payment_intents
    intent = await simulator.create()
    changed = await intents.update_async(intent.id, {"customer": customer, "setup_future_usage": "off_session"})
    assert (changed.customer, changed.setup_future_usage) == (customer, "off_session")
    assert [found.id for found in (await intents.list_async({"customer": customer})).data] == [intent.id]
    other = (await simulator.client.v1.customers.create_async({})).id
    with pytest.raises(stripe.InvalidRequestError, match="cannot modify"):
        await intents.update_async(intent.id, {"customer": other})


async def test_saved_methods_survive_a_kill(simulator: StripeProcess, customer: str) -> None:
    """After kill -9 the method is the customer's still, and declines as it was told to."""
    method = await saved_method(simulator, customer)
    await simulator.control(f"payment_methods/{method}", decline_code="lost_card")
    simulator.kill()
    await simulator.start()
    with pytest.raises(stripe.CardError, match="declined"):
        await simulator.create(customer=customer, payment_method=method, confirm=True, off_session=True)


async def test_a_deleted_customer_keeps_its_id_and_nothing_else(simulator: StripeProcess, customer: str) -> None:
    """By our own call, which takes one that is gone, or was never there, for deleted."""
    settings = Settings(stripe_api_key=STRIPE_KEY, stripe_api_base=simulator.base_url)
    connection = StripeConnection(settings)
    try:
        for gone in (customer, customer, "cus_never_there"):
            await CustomerGateway(connection).delete(gone)
    finally:
        await connection.aclose()
    left = await simulator.client.v1.customers.retrieve_async(customer)
    assert left.deleted and "email" not in left
