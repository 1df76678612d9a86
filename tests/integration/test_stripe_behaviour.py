"""What the saga relies on Stripe for, checked against the simulator or, with a key, against Stripe's own sandbox.

    STRIPE_API_KEY=sk_test_... python -m pytest tests/integration/test_stripe_behaviour.py -n 0

Without that variable nothing but the simulator on loopback is asked, and no key but a test key is ever used. This has
NOT been run against Stripe yet: so far it says what the simulator does.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import stripe

from devstack.stack.credentials import Credentials
from tests.support.simulators import SDK_WARNING, STRIPE_KEY, StripeProcess, running

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)

SANDBOX_KEY = re.compile(r"sk_test_(?![0-9a-f]{40}$)[A-Za-z0-9]{24,}")  # 40 hexadecimal digits: the devstack's own
DAY = 24 * 3600


def sandbox_key(environ: dict[str, str]) -> str | None:
    """The key of a sandbox of Stripe's, if one was given; never a live one, never the simulator's."""
    given = environ.get("STRIPE_API_KEY", "")
    return given if SANDBOX_KEY.fullmatch(given) else None


class Account:
    """One Stripe account, simulated or not; every object carries a reference of its own."""

    def __init__(self, client: stripe.StripeClient) -> None:
        self.v1 = client.v1
        self.intents = client.v1.payment_intents

    async def create(self, key: str | None = None, **params: Any) -> stripe.PaymentIntent:
        wanted: Any = {
            "amount": 1000,
            "currency": "usd",
            "capture_method": "manual",
            "allowed_payment_method_types": ["card"],
            "payment_method": "pm_card_visa",
            "metadata": {"order_id": f"behaviour-{uuid4().hex}"},
            **params,
        }
        return await self.intents.create_async(wanted, {"idempotency_key": key or uuid4().hex})

    async def held(self, **params: Any) -> stripe.PaymentIntent:
        return await self.create(confirm=True, **params)

    async def taken(self) -> stripe.PaymentIntent:
        return await self.intents.capture_async((await self.held()).id)


@pytest.fixture(scope="module")
async def account(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Account]:
    http = stripe.HTTPXClient(timeout=30)
    key = sandbox_key(dict(os.environ))
    if key is not None:
        yield Account(stripe.StripeClient(key, http_client=http, max_network_retries=2))
    else:
        async with running(StripeProcess(tmp_path_factory.mktemp("stripe"))) as process:
            base: Any = {"api": process.base_url}
            yield Account(stripe.StripeClient(STRIPE_KEY, http_client=http, base_addresses=base))
    await http.close_async()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("given", ["", "sk_live_" + "Z" * 30, "sk_test_simulated", "rk_test_1"])
def test_only_a_sandbox_key_leaves_loopback(given: str) -> None:
    """Everything else means the simulator."""
    assert sandbox_key({"STRIPE_API_KEY": given}) is None
    assert sandbox_key({"STRIPE_API_KEY": Credentials().stripe_api_key}) is None
    assert sandbox_key({}) is None
    assert sandbox_key({"STRIPE_API_KEY": "sk_test_" + "a1B2" * 8}) is not None


async def test_create_moves_nothing_confirm_holds_capture_takes(account: Account) -> None:
    """And the hold says until when, some six or seven days from now."""
    intent = await account.create()
    assert (intent.status, intent.amount_capturable, intent.latest_charge) == ("requires_confirmation", 0, None)
    held: Any = await account.intents.confirm_async(intent.id, {"expand": ["latest_charge"]})
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 1000, 0)
    charge = held.latest_charge
    assert 6 * DAY < charge.payment_method_details.card.capture_before - charge.created <= 7 * DAY
    taken = await account.intents.capture_async(intent.id)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 1000)


async def test_a_partial_capture_releases_the_rest(account: Account) -> None:
    """The rest can be neither captured nor refunded."""
    intent = await account.held()
    taken = await account.intents.capture_async(intent.id, {"amount_to_capture": 700})
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 700, 0)
    with pytest.raises(stripe.InvalidRequestError):
        await account.intents.capture_async(intent.id, {"amount_to_capture": 300})
    with pytest.raises(stripe.InvalidRequestError):
        await account.v1.refunds.create_async({"payment_intent": intent.id, "amount": 701})


async def test_no_more_than_was_held_can_be_captured(account: Account) -> None:
    """The attempt changes nothing."""
    intent = await account.held()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await account.intents.capture_async(intent.id, {"amount_to_capture": 1001})
    assert refused.value.code == "amount_too_large"
    assert (await account.intents.retrieve_async(intent.id)).status == "requires_capture"


async def test_a_cancel_releases_the_money_for_good(account: Account) -> None:
    """Nothing can be done with a canceled intent, and the error shows it."""
    intent = await account.held()
    canceled = await account.intents.cancel_async(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (canceled.status, canceled.amount_capturable) == ("canceled", 0)
    for act in (account.intents.capture_async, account.intents.confirm_async, account.intents.cancel_async):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await act(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"
        assert refused.value.error is not None and refused.value.error.payment_intent is not None
        assert refused.value.error.payment_intent.status == "canceled"


async def test_money_that_was_taken_cannot_be_canceled(account: Account) -> None:
    """It goes back by refund only."""
    intent = await account.taken()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await account.intents.cancel_async(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_refunds_add_up_to_what_was_taken_and_no_more(account: Account) -> None:
    """In parts; what is above the rest is refused, and so is anything after the whole."""
    intent, refunds = await account.taken(), account.v1.refunds
    first = await refunds.create_async({"payment_intent": intent.id, "amount": 400, "metadata": {"operation": "r1"}})
    assert (first.status, first.amount) == ("succeeded", 400)
    with pytest.raises(stripe.InvalidRequestError):
        await refunds.create_async({"payment_intent": intent.id, "amount": 601})
    rest = await refunds.create_async({"payment_intent": intent.id})
    assert rest.amount == 600
    with pytest.raises(stripe.InvalidRequestError) as spent:
        await refunds.create_async({"payment_intent": intent.id})
    assert spent.value.code == "charge_already_refunded"
    listed = await refunds.list_async({"payment_intent": intent.id})
    assert [refund.id for refund in listed.data] == [rest.id, first.id]


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
async def test_a_declined_card_leaves_the_intent_open_for_another(
    account: Account, card: str, code: str, decline_code: str | None
) -> None:
    """402 with the reason; the same intent then takes a good card."""
    intent = await account.create(payment_method=card)
    with pytest.raises(stripe.CardError) as declined:
        await account.intents.confirm_async(intent.id)
    assert (declined.value.http_status, declined.value.code) == (402, code)
    assert declined.value.error is not None
    if decline_code is not None:
        assert declined.value.error.decline_code == decline_code
    assert (await account.intents.retrieve_async(intent.id)).status == "requires_payment_method"
    held = await account.intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    assert (held.status, held.last_payment_error) == ("requires_capture", None)


async def test_three_d_secure_waits_for_the_customer(account: Account) -> None:
    """Nothing is held, the frontend gets a secret, and the payment can be canceled meanwhile."""
    intent = await account.held(payment_method="pm_card_authenticationRequired")
    assert (intent.status, intent.amount_capturable) == ("requires_action", 0)
    assert intent.client_secret
    assert (await account.intents.cancel_async(intent.id)).status == "canceled"


async def test_the_same_key_gives_the_same_answer(account: Account) -> None:
    """Of a success and of a decline; with other parameters it is refused."""
    key = uuid4().hex
    params: dict[str, Any] = {"metadata": {"order_id": f"behaviour-{key}"}}
    first, again = await account.held(key=key, **params), await account.held(key=key, **params)
    assert first.id == again.id
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    with pytest.raises(stripe.IdempotencyError):
        await account.held(key=key, amount=1001, **params)


async def test_a_decline_is_kept_under_its_key(account: Account) -> None:
    """The card is asked once; the next business attempt needs a key of its own."""
    intent, key = await account.create(payment_method="pm_card_chargeDeclined"), uuid4().hex
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            await account.intents.confirm_async(intent.id, options={"idempotency_key": key})
    charges = await account.intents.retrieve_async(intent.id, {"expand": ["latest_charge"]})
    assert charges.last_payment_error is not None


async def test_a_kept_card_is_charged_again_without_the_customer(account: Account) -> None:
    """How an authorization is renewed: the old intent canceled, a new one on the saved method, held anew."""
    customer = await account.v1.customers.create_async({"metadata": {"customer_id": "behaviour"}})
    first = await account.held(customer=customer.id, setup_future_usage="off_session")
    kept = str(first.payment_method)
    await account.intents.cancel_async(first.id)
    second = await account.create(customer=customer.id, payment_method=kept)
    params: Any = {"off_session": True, "expand": ["latest_charge"]}
    renewed: Any = await account.intents.confirm_async(second.id, params)
    assert (renewed.status, renewed.payment_method) == ("requires_capture", kept)
    charge = renewed.latest_charge
    assert charge.payment_method_details.card.capture_before - charge.created > 4 * DAY
    await account.intents.cancel_async(second.id)


async def test_a_kept_card_is_its_customers_alone(account: Account) -> None:
    """Another customer cannot pay with it, and a card that nobody keeps pays once."""
    customers = account.v1.customers
    owner, other = [(await customers.create_async({"metadata": {"n": str(n)}})).id for n in range(2)]
    first = await account.held(customer=owner, setup_future_usage="off_session")
    with pytest.raises(stripe.InvalidRequestError):
        await account.held(customer=other, payment_method=first.payment_method)
    unkept = await account.held()
    with pytest.raises(stripe.InvalidRequestError):
        await account.held(payment_method=unkept.payment_method)


async def test_a_card_that_asks_is_declined_where_nobody_can_answer(account: Account) -> None:
    """402 authentication_required: the customer has to be asked."""
    intent = await account.create(payment_method="pm_card_authenticationRequired")
    with pytest.raises(stripe.CardError) as declined:
        await account.intents.confirm_async(intent.id, {"error_on_requires_action": True})
    assert declined.value.code == "authentication_required"
    assert (await account.intents.retrieve_async(intent.id)).status == "requires_payment_method"


async def test_lists_are_fresh(account: Account) -> None:
    """Whoever lost the answer of a creation finds the intent at once."""
    made = await account.create()
    page = await account.intents.list_async({"created": {"gte": made.created - 5}, "limit": 100})
    assert made.id in [intent.id for intent in page.data]
