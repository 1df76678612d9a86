"""PaymentIntents and refunds of the Stripe simulator, driven by the real SDK."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import stripe

from tests.support.simulators import SDK_WARNING, STRIPE_KEY, StripeProcess, running

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)


@pytest.fixture(scope="module")
async def simulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StripeProcess]:
    async with running(StripeProcess(tmp_path_factory.mktemp("stripe"))) as process:
        yield process


@pytest.fixture
def order_id() -> str:
    return f"order-{uuid4().hex[:12]}"


async def test_an_intent_is_created_confirmed_and_captured(simulator: StripeProcess, order_id: str) -> None:
    """Creating moves no money, confirming holds it for seven days, capturing takes it."""
    intents = simulator.client.v1.payment_intents
    intent = await simulator.create(metadata={"order_id": order_id})
    assert (intent.status, intent.amount_capturable, intent.latest_charge) == ("requires_confirmation", 0, None)
    assert await simulator.ledger_kinds(order_id) == []

    held: Any = await intents.confirm_async(intent.id, {"expand": ["latest_charge"]})
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 1000, 0)
    assert held.latest_charge.payment_method_details.card.capture_before - held.latest_charge.created == 7 * 24 * 3600
    assert held.latest_charge.captured is False

    taken = await intents.capture_async(intent.id)
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 1000)
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000), ("capture", 1000)]


async def test_automatic_capture_takes_the_money_at_once(simulator: StripeProcess, order_id: str) -> None:
    """With capture_method automatic a confirmed intent has succeeded."""
    intent = await simulator.authorized(order_id, capture_method="automatic")
    assert (intent.status, intent.amount_received) == ("succeeded", 1000)
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000), ("capture", 1000)]


async def test_an_intent_without_a_payment_method_waits_for_one(simulator: StripeProcess) -> None:
    """It cannot be confirmed bare, and can be with a method given in the confirmation."""
    intent = await simulator.create(payment_method=None)
    assert intent.status == "requires_payment_method"
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        await simulator.client.v1.payment_intents.confirm_async(intent.id)
    held = await simulator.client.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    assert held.status == "requires_capture"


async def test_partial_capture_releases_the_rest(simulator: StripeProcess, order_id: str) -> None:
    """What was not captured cannot be captured later, and not refunded either."""
    intents = simulator.client.v1.payment_intents
    intent = await simulator.authorized(order_id)
    with pytest.raises(stripe.InvalidRequestError) as above:
        await intents.capture_async(intent.id, {"amount_to_capture": 1001})
    assert above.value.code == "amount_too_large"
    taken = await intents.capture_async(intent.id, {"amount_to_capture": 700})
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 700, 0)
    with pytest.raises(stripe.InvalidRequestError):
        await simulator.client.v1.refunds.create_async({"payment_intent": intent.id, "amount": 701})


async def test_cancel_voids_the_authorization(simulator: StripeProcess, order_id: str) -> None:
    """A canceled intent holds nothing and can neither be captured nor canceled nor confirmed again."""
    intents = simulator.client.v1.payment_intents
    intent = await simulator.authorized(order_id)
    canceled = await intents.cancel_async(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "requested_by_customer")
    assert canceled.canceled_at is not None
    assert canceled.amount_capturable == 0
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000), ("void", 1000)]
    charge = await simulator.client.v1.charges.retrieve_async(str(canceled.latest_charge))
    assert (charge.captured, charge.refunded, charge.amount_refunded) == (False, False, 0)
    for act in (intents.capture_async, intents.cancel_async, intents.confirm_async):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await act(intent.id)
        assert refused.value.code == "payment_intent_unexpected_state"
        assert refused.value.error is not None
        assert refused.value.error.payment_intent is not None
        assert refused.value.error.payment_intent.status == "canceled"


async def test_a_captured_intent_cannot_be_canceled(simulator: StripeProcess, order_id: str) -> None:
    """Money that was taken goes back by refund only."""
    intent = await simulator.authorized(order_id)
    await simulator.client.v1.payment_intents.capture_async(intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await simulator.client.v1.payment_intents.cancel_async(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


@pytest.mark.parametrize(
    ("card", "decline_code"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
    ],
)
async def test_a_decline_is_a_card_error_with_the_intent_inside(
    simulator: StripeProcess, order_id: str, card: str, decline_code: str
) -> None:
    """The intent goes back to requires_payment_method, holds nothing, and takes another card."""
    with pytest.raises(stripe.CardError) as declined:
        await simulator.authorized(order_id, payment_method=card)
    error = declined.value.error
    assert error is not None
    assert (declined.value.http_status, error.code, error.decline_code) == (402, "card_declined", decline_code)
    assert error.payment_intent is not None
    intent = await simulator.client.v1.payment_intents.retrieve_async(error.payment_intent.id)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.decline_code == decline_code
    assert await simulator.ledger_kinds(order_id) == []
    held = await simulator.client.v1.payment_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    assert (held.status, held.last_payment_error) == ("requires_capture", None)


async def test_three_d_secure_waits_for_the_customer(simulator: StripeProcess, order_id: str) -> None:
    """The intent requires action and holds nothing until the customer has authenticated."""
    intent = await simulator.authorized(order_id, payment_method="pm_card_authenticationRequired")
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.type == "use_stripe_sdk"
    assert await simulator.ledger_kinds(order_id) == []
    await simulator.control(f"payment_intents/{intent.id}/authenticate", succeed=True)
    held = await simulator.client.v1.payment_intents.retrieve_async(intent.id)
    assert (held.status, held.next_action) == ("requires_capture", None)


async def test_failed_three_d_secure_asks_for_another_method(simulator: StripeProcess, order_id: str) -> None:
    """The intent is open again, and says why."""
    intent = await simulator.authorized(order_id, payment_method="pm_card_authenticationRequired")
    await simulator.control(f"payment_intents/{intent.id}/authenticate", succeed=False)
    failed = await simulator.client.v1.payment_intents.retrieve_async(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"


@pytest.mark.parametrize("flag", ["off_session", "error_on_requires_action"])
async def test_nobody_there_to_authenticate_is_a_decline(simulator: StripeProcess, order_id: str, flag: str) -> None:
    """Off session, or when told so, a card that needs 3-D Secure is declined with authentication_required."""
    with pytest.raises(stripe.CardError) as declined:
        await simulator.authorized(order_id, payment_method="pm_card_authenticationRequired", **{flag: True})
    assert declined.value.code == "authentication_required"


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": "ten"}, "parameter_invalid_integer", "amount"),
        ({"amount": None}, "parameter_missing", "amount"),
        ({"colour": "red"}, "parameter_unknown", "colour"),
        (
            {"payment_method_types": ["card"]},
            "payment_method_types_no_longer_supported",
            "payment_method_types",
        ),
        ({"payment_method": "pm_card_unheard"}, "resource_missing", "payment_method"),
        ({"customer": "cus_unheard"}, "resource_missing", "customer"),
        ({"capture_method": "sometimes"}, None, "capture_method"),
        ({"metadata": {"note": "x" * 501}}, None, "metadata[note]"),
    ],
)
async def test_bad_parameters_are_refused(
    simulator: StripeProcess, params: dict[str, Any], code: str | None, param: str
) -> None:
    """Each is a 400 that names the parameter, with Stripe's code."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await simulator.create(**params)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)


async def test_redirecting_methods_need_a_return_url(simulator: StripeProcess) -> None:
    """An intent with automatic payment methods is confirmed with a return_url, or without redirects."""
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await simulator.create(confirm=True, automatic_payment_methods={"enabled": True})
    assert refused.value.param == "return_url"
    never = {"enabled": True, "allow_redirects": "never"}
    intent = await simulator.create(confirm=True, automatic_payment_methods=never)
    assert intent.status == "requires_capture"


async def test_an_update_changes_what_is_still_open(simulator: StripeProcess, order_id: str) -> None:
    """The amount until confirmation, metadata always; an empty value removes a key."""
    intents = simulator.client.v1.payment_intents
    intent = await simulator.create(metadata={"order_id": order_id, "note": "a"})
    changed = await intents.update_async(intent.id, {"amount": 1500, "metadata": {"note": "", "by": "b"}})
    assert (changed.amount, changed.metadata.to_dict()) == (1500, {"order_id": order_id, "by": "b"})
    await intents.confirm_async(intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await intents.update_async(intent.id, {"amount": 2000})
    assert refused.value.code == "payment_intent_unexpected_state"


async def test_an_authorization_expires_after_seven_days(simulator: StripeProcess, order_id: str) -> None:
    """Six days in the hold still stands; after seven the money is released and the intent canceled."""
    intent = await simulator.authorized(order_id)
    await simulator.control("clock", advance_seconds=6 * 24 * 3600)
    assert (await simulator.client.v1.payment_intents.retrieve_async(intent.id)).status == "requires_capture"
    await simulator.control("clock", advance_seconds=24 * 3600 + 1)
    expired = await simulator.client.v1.payment_intents.retrieve_async(intent.id)
    assert (expired.status, expired.amount_capturable) == ("canceled", 0)
    assert expired.cancellation_reason == "expired"
    assert await simulator.ledger_kinds(order_id) == [("authorize", 1000), ("expire", 1000)]


async def test_a_wrong_key_is_an_authentication_error(simulator: StripeProcess) -> None:
    """So is a good key while Stripe does not accept it."""
    with pytest.raises(stripe.AuthenticationError):
        await simulator.client_with("sk_test_other").v1.payment_intents.retrieve_async("pi_1")
    await simulator.control("api_key", accept=False)
    with pytest.raises(stripe.AuthenticationError):
        await simulator.create()
    await simulator.control("api_key", accept=True)
    assert (await simulator.create()).status == "requires_confirmation"


async def test_unknown_objects_and_urls_are_not_found(simulator: StripeProcess) -> None:
    """404 with Stripe's error shape and a request id."""
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await simulator.client.v1.payment_intents.retrieve_async("pi_unheard")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    assert missing.value.request_id is not None
    answer = await simulator.http.get("/v1/nothing", headers={"Authorization": f"Bearer {STRIPE_KEY}"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")
