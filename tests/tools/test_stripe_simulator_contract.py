"""The shape of what the Stripe simulator answers, against the types of the SDK that is pinned.

The SDK's types are generated from Stripe's own API description at the version that the SDK sends. This checks shape,
not behavior: behavior is our reading.
"""

import typing
from collections.abc import AsyncIterator
from typing import Any

import pytest
import stripe

from devstack.stripe.objects import API_VERSION
from devstack.stripe.parameters import ACCEPTED
from tests.support.simulators import SDK_WARNING, StripeProcess, running
from tests.support.stripe_contract import hints_of, literals

pytestmark = pytest.mark.filterwarnings(SDK_WARNING)

PARAMETERS = {
    "payment_intents.create": stripe.params.PaymentIntentCreateParams,
    "payment_intents.update": stripe.params.PaymentIntentUpdateParams,
    "payment_intents.confirm": stripe.params.PaymentIntentConfirmParams,
    "payment_intents.capture": stripe.params.PaymentIntentCaptureParams,
    "payment_intents.cancel": stripe.params.PaymentIntentCancelParams,
    "payment_intents.retrieve": stripe.params.PaymentIntentRetrieveParams,
    "payment_intents.list": stripe.params.PaymentIntentListParams,
    "payment_intents.search": stripe.params.PaymentIntentSearchParams,
    "refunds.create": stripe.params.RefundCreateParams,
    "refunds.retrieve": stripe.params.RefundRetrieveParams,
    "refunds.list": stripe.params.RefundListParams,
    "charges.retrieve": stripe.params.ChargeRetrieveParams,
    "customers.create": stripe.params.CustomerCreateParams,
    "customers.retrieve": stripe.params.CustomerRetrieveParams,
    "customers.list": stripe.params.CustomerListParams,
    "customers.delete": stripe.params.CustomerDeleteParams,
    "disputes.retrieve": stripe.params.DisputeRetrieveParams,
    "disputes.list": stripe.params.DisputeListParams,
    "reviews.retrieve": stripe.params.ReviewRetrieveParams,
    "reviews.list": stripe.params.ReviewListParams,
    "reviews.approve": stripe.params.ReviewApproveParams,
    "events.list": stripe.params.EventListParams,
    "events.retrieve": stripe.params.EventRetrieveParams,
}
EVENT_OBJECTS = {
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "review": stripe.Review,
}


@pytest.fixture(scope="module")
async def simulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StripeProcess]:
    async with running(StripeProcess(tmp_path_factory.mktemp("stripe"))) as process:
        yield process


def assert_known(answer: dict[str, Any], resource: type, where: str) -> None:
    """Every key of the answer is an attribute of the SDK's class, nested objects included, and every enumerated
    value is one that Stripe lists."""
    hints = hints_of(resource)
    assert not answer.keys() - hints.keys(), where
    for key, value in answer.items():
        listed = literals(hints[key])
        if isinstance(value, str) and listed:
            assert value in listed, f"{where}.{key}"
        nested = classes(hints[key])
        if isinstance(value, dict) and nested:
            assert_known(value, nested[0], f"{where}.{key}")


def classes(annotation: Any) -> list[type[stripe.StripeObject]]:
    """The SDK's own nested classes in an annotation (untyped objects, such as metadata, have nothing to check)."""
    parts = typing.get_args(annotation) or (annotation,)
    own = [part for part in parts if isinstance(part, type) and issubclass(part, stripe.StripeObject)]
    return [part for part in own if part.__annotations__]


async def every_answer(simulator: StripeProcess) -> dict[str, stripe.StripeObject]:
    client = simulator.client.v1
    held = await simulator.authorized("o1", description="one lamp", payment_method="pm_card_visa")
    action = await simulator.authorized("o2", payment_method="pm_card_authenticationRequired")
    canceled = await client.payment_intents.cancel_async(action.id, {"cancellation_reason": "abandoned"})
    with pytest.raises(stripe.CardError):
        await simulator.authorized("o3", payment_method="pm_card_chargeDeclined")
    declined = (await client.payment_intents.list_async({"limit": 1})).data[0]
    taken = await client.payment_intents.capture_async(held.id)
    refund = await client.refunds.create_async({"payment_intent": held.id})
    await simulator.control("refunds", status="failed")
    other = await simulator.authorized("o4", capture_method="automatic")
    failed = await client.refunds.create_async({"payment_intent": other.id})
    customer = await client.customers.create_async({"email": "ada@example.com"})
    answers: dict[str, stripe.StripeObject] = {"held": held, "action": action, "canceled": canceled}
    answers |= {"declined": declined, "taken": taken, "refund": refund, "failed": failed, "customer": customer}
    for name, intent in (("charge", held), ("failed charge", declined)):
        answers[name] = await client.charges.retrieve_async(str(intent.latest_charge))
    return answers | await answers_about_trouble(simulator)


async def answers_about_trouble(simulator: StripeProcess) -> dict[str, stripe.StripeObject]:
    """Disputes open and decided, reviews open and approved, and the payments that they are about."""
    client = simulator.client.v1
    risky = await simulator.authorized("o5", payment_method="pm_card_riskLevelElevated", capture_method="automatic")
    review = await client.reviews.retrieve_async(str(risky.review))
    approved = await client.reviews.approve_async(review.id)
    opened = await simulator.control("disputes", payment_intent=risky.id, reason="fraudulent")
    dispute = await client.disputes.retrieve_async(opened["id"])
    await simulator.control(f"disputes/{dispute.id}/close", status="won")
    won = await client.disputes.retrieve_async(dispute.id)
    charge = await client.charges.retrieve_async(str(risky.latest_charge))
    return {
        "review": review,
        "approved": approved,
        "dispute": dispute,
        "won": won,
        "risky": risky,
        "its charge": charge,
    }


async def test_every_key_answered_is_one_of_the_sdks(simulator: StripeProcess) -> None:
    """Intents in every state, charges, refunds, customers, events: no key that Stripe does not have."""
    for name, answer in (await every_answer(simulator)).items():
        assert_known(answer.to_dict(), type(answer), name)
    events = (await simulator.client.v1.events.list_async({"limit": 100})).data
    assert len({event.type for event in events}) >= 15
    for event in events:
        assert_known({**event.to_dict(), "data": {}}, stripe.Event, event.type)
        subject = event.data.object.to_dict()
        assert_known(subject, EVENT_OBJECTS[subject["object"]], event.type)


async def test_every_event_type_is_one_of_the_sdks(simulator: StripeProcess) -> None:
    """Also those that this file's payments do not cause."""
    known = literals(hints_of(stripe.Event)["type"])
    caused = {event.type for event in (await simulator.client.v1.events.list_async({"limit": 100})).data}
    named = {"payment_intent.requires_action", "charge.expired", "refund.updated", "payment_intent.payment_failed"}
    assert caused | named <= known


def test_every_parameter_taken_is_one_of_the_sdks() -> None:
    """The simulator takes nothing that Stripe would refuse as unknown."""
    assert ACCEPTED.keys() == PARAMETERS.keys()
    for operation, accepted in ACCEPTED.items():
        assert accepted.keys() <= PARAMETERS[operation].__annotations__.keys(), operation


def test_the_api_version_is_the_one_the_sdk_pins() -> None:
    """An upgrade of the SDK must be followed here."""
    assert stripe.api_version == API_VERSION
