"""The guard that holds every request to Stripe against the SDK's types: what it lets through and what it does not."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.support.stripe_contract import ContractGuard, ContractViolation, exempt, params_type, violations

GOOD: dict[str, Any] = {
    "amount": 1000,
    "currency": "usd",
    "capture_method": "manual",
    "allowed_payment_method_types": ["card"],
    "metadata": {"order_id": "o1"},
    "payment_method": "pm_card_visa",
    "customer": "cus_1",
    "setup_future_usage": "off_session",
    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    "description": "",
    "expand": ["latest_charge"],
}


def found(params: Any, kind: Any = stripe.params.PaymentIntentCreateParams) -> list[str]:
    return list(violations(params, kind))


def test_lets_through_what_stripe_takes() -> None:
    """Integers, enumerations, lists, nested objects, free metadata, and texts that may be emptied."""
    assert found(GOOD) == []
    assert found({"created": {"gte": 1}, "limit": 3}, stripe.params.PaymentIntentListParams) == []
    assert found({"created": 1}, stripe.params.EventListParams) == []
    assert found({"off_session": True}, stripe.params.PaymentIntentConfirmParams) == []
    assert found({"off_session": "recurring"}, stripe.params.PaymentIntentConfirmParams) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ammount": 1}, "params.ammount is unknown"),
        ({"payment_method_types": ["card"]}, "params.payment_method_types is unknown"),
        ({"idempotency_key": "k"}, "params.idempotency_key is unknown"),
        ({"amount": "1000"}, "params.amount is not a int"),
        ({"amount": 10.0}, "params.amount is not a int"),
        ({"amount": True}, "params.amount is not a int"),
        ({"amount": None}, "params.amount is not a int"),
        ({"confirm": "true"}, "params.confirm is not a bool"),
        ({"metadata": {"order_id": 7}}, "params.metadata.order_id is not a str"),
        ({"capture_method": "by_hand"}, "params.capture_method is 'by_hand', not one of"),
        ({"setup_future_usage": "offsession"}, "params.setup_future_usage is 'offsession', not one of"),
        ({"allowed_payment_method_types": ["cards"]}, "params.allowed_payment_method_types[0] is 'cards'"),
        ({"allowed_payment_method_types": "card"}, "params.allowed_payment_method_types is not a"),
        ({"automatic_payment_methods": {"enabled": True, "redirects": "never"}}, "methods.redirects is unknown"),
        ({"automatic_payment_methods": {}}, "automatic_payment_methods.enabled is missing"),
        ({"automatic_payment_methods": True}, "automatic_payment_methods is True"),
        ({"payment_method_options": {"card": {"request_three_d_secur": "any"}}}, "request_three_d_secur is unknown"),
        ({"shipping": {"name": "Ada"}}, "params.shipping.address is missing"),
    ],
)
def test_names_what_is_wrong(change: dict[str, Any], said: str) -> None:
    """Unknown, mistyped, missing and misspelled, at any depth; exactly one complaint each."""
    (complaint,) = found(GOOD | change)
    assert said in complaint


def test_names_every_required_parameter_that_is_missing() -> None:
    """Not only the first."""
    assert len(found({})) == 2


def test_wrong_comparisons_of_a_list_are_found() -> None:
    """`created` is a number or a range of Stripe's four comparisons."""
    assert found({"created": {"since": 1}}, stripe.params.EventListParams) != []
    assert found({"created": "yesterday"}, stripe.params.EventListParams) != []


def test_finds_the_types_by_the_method_of_the_service() -> None:
    """For every service of the client, whichever we use tomorrow."""
    assert params_type(stripe.RefundService, "create_async") is stripe.params.RefundCreateParams
    assert params_type(stripe.ReviewService, "approve") is stripe.params.ReviewApproveParams


async def test_a_wrong_request_never_leaves_the_process(stripe_contract: ContractGuard) -> None:
    """Neither parameters nor options with a typo; what the guard saw is remembered for the end of the test."""
    client = stripe.StripeClient("sk_test_1", base_addresses={"api": "http://127.0.0.1:9"}, max_network_retries=0)
    wrong: Any = {"payment_intent": "pi_1", "amount": "all"}
    with pytest.raises(ContractViolation, match="amount is not a int"):
        await client.v1.refunds.create_async(wrong)
    misspelled: Any = {"idempotencykey": "k"}
    with pytest.raises(ContractViolation, match="idempotencykey is unknown"):
        client.v1.refunds.create({"payment_intent": "pi_1"}, misspelled)
    assert len(stripe_contract.broken) == 2
    stripe_contract.broken.clear()


async def test_tests_of_the_simulator_may_ask_wrongly() -> None:
    """Their requests reach the network, where here is nobody."""
    http = stripe.HTTPXClient(timeout=1)
    client = exempt(
        stripe.StripeClient(
            "sk_test_1", base_addresses={"api": "http://127.0.0.1:9"}, http_client=http, max_network_retries=0
        )
    )
    wrong: Any = {"payment_intent": "pi_1", "amount": "all"}
    with pytest.raises(stripe.APIConnectionError):
        await client.v1.refunds.create_async(wrong)
    await http.close_async()  # type: ignore[no-untyped-call]
