"""Every request that the service can send to Stripe, held against the SDK's types; nobody is there to answer."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.settings import Settings
from adapters.stripe.connection import StripeConnection
from adapters.stripe.customers import CustomerGateway
from adapters.stripe.lists import StripeLists
from adapters.stripe.payments import PaymentSnapshot, StripeGateway
from adapters.stripe.refunds import RefundGateway
from domain.commands import PaymentTry
from domain.errors import TryAgain
from services.payments import book as payment_book
from services.payments.parameters import (
    RENEWAL_CONFIRM_PARAMS,
    VOID_PARAMS,
    confirm_params,
    create_params,
    renewal_params,
)
from services.refunds.book import refund_params
from tests.support.stripe_contract import ContractGuard

NOBODY = "http://127.0.0.1:9"
SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
PI, CUSTOMER = "pi_1", "cus_1"
HELD = PaymentSnapshot(
    PI,
    "requires_capture",
    None,
    1000,
    1000,
    0,
    customer=CUSTOMER,
    payment_method="pm_1",
    disputed=True,
    review="prv_1",
)


class _Order:
    """An order as far as the parameters of its payment are made of it."""

    def __init__(self, payment_method: str = "pm_card_visa") -> None:
        self.row: Any = SimpleNamespace(
            order_id="o1", total_minor=1000, currency="USD", payment_method=payment_method
        )

    def lines(self) -> list[Any]:
        return [SimpleNamespace(quantity=2, unit_price_minor=250, dropped=False)]


REF = PaymentTry(order_id="o1")
OTHER_CARD = PaymentTry(order_id="o1", round=2, payment_method="pm_2")
ORDER: Any = _Order()
NO_CARD_YET: Any = _Order("credit_card")
REFUND_ROW: Any = SimpleNamespace(amount_minor=300, order_id="o1", key="k1")
PAYMENT: Any = SimpleNamespace(payment_intent_id=PI)
FULL_REFUND = {"payment_intent": PI, "amount": 1000, "metadata": {"order_id": "o1", "operation": "refund:1"}}

Call = Callable[[Any], Coroutine[Any, Any, Any]]


async def _renewed(gateway: StripeGateway) -> Any:
    return await gateway.create(renewal_params(ORDER, OTHER_CARD, HELD), "k")


async def _partly_captured(gateway: StripeGateway) -> Any:
    due = {"amount_to_capture": payment_book.amount_due(ORDER)}
    return await gateway.capture(PI, due, "k")


GATEWAY: list[tuple[str, Call]] = [
    ("create", lambda stripe: stripe.create(create_params(ORDER, REF), "k")),
    ("create", lambda stripe: stripe.create(create_params(NO_CARD_YET, REF), "k")),
    ("create", lambda stripe: stripe.create(create_params(ORDER, REF, CUSTOMER), "k")),
    ("create", lambda stripe: stripe.create(create_params(ORDER, OTHER_CARD, CUSTOMER), "k")),
    ("create", _renewed),
    ("confirm", lambda stripe: stripe.confirm(PI, confirm_params(REF), "k")),
    ("confirm", lambda stripe: stripe.confirm(PI, confirm_params(OTHER_CARD), "k")),
    ("confirm", lambda stripe: stripe.confirm(PI, RENEWAL_CONFIRM_PARAMS, "k")),
    ("capture", lambda stripe: stripe.capture(PI, {}, "k")),
    ("capture", _partly_captured),
    ("cancel", lambda stripe: stripe.cancel(PI, VOID_PARAMS, "k")),
    ("retrieve", lambda stripe: stripe.retrieve(PI)),
    ("created", lambda stripe: stripe.created(SINCE, SINCE)),
    ("created", lambda stripe: stripe.created(SINCE, SINCE, PI)),
    ("find_all", lambda stripe: stripe.find_all("o1")),
    ("hold_on", lambda stripe: stripe.hold_on(HELD)),
    ("hold_on", lambda stripe: stripe.hold_on(PaymentSnapshot(PI, "succeeded", None, 1, 0, 1, review="prv_1"))),
    ("create_customer", lambda stripe: stripe.create_customer({"metadata": {"customer_id": "7"}}, "k")),
]
LISTS: list[tuple[str, Call]] = [
    ("payments", lambda lists: anext(lists.payments(SINCE, UNTIL))),
    ("payment", lambda lists: lists.payment(PI)),
    ("events", lambda lists: anext(lists.events(SINCE, UNTIL))),
]
REFUNDS: list[tuple[str, Call]] = [
    ("give", lambda refunds: refunds.give(refund_params(ORDER, REFUND_ROW, PAYMENT), "k")),
    ("give_rest", lambda refunds: refunds.give_rest(FULL_REFUND, "k")),
    ("retrieve", lambda refunds: refunds.retrieve("re_1")),
    ("find", lambda refunds: refunds.find(PI, "operation")),
    ("all_of", lambda refunds: refunds.all_of(PI)),
]
CUSTOMERS: list[tuple[str, Call]] = [("delete", lambda customers: customers.delete("cus_1"))]
ALL: list[tuple[type[Any], list[tuple[str, Call]]]] = [
    (CustomerGateway, CUSTOMERS),
    (StripeGateway, GATEWAY),
    (StripeLists, LISTS),
    (RefundGateway, REFUNDS),
]
CALLS = [(gateway, name, call) for gateway, calls in ALL for name, call in calls]


@pytest.fixture
async def settings() -> AsyncIterator[Settings]:
    yield Settings(stripe_api_key="sk_test_1", stripe_api_base=NOBODY, stripe_timeout=2)


@pytest.mark.parametrize(
    ("gateway", "name", "call"), CALLS, ids=[f"{kind.__name__}.{name}" for kind, name, _ in CALLS]
)
async def test_every_request_is_one_that_stripe_takes(
    gateway: type[Any], name: str, call: Call, settings: Settings, stripe_contract: ContractGuard
) -> None:
    """The guard saw it and let it through; that it got as far as the network shows that nothing stopped it before."""
    checked = stripe_contract.checked
    connection = StripeConnection(settings)
    try:
        with pytest.raises(TryAgain, match="APIConnectionError"):
            await call(gateway(connection))
    finally:
        await connection.aclose()
    assert (stripe_contract.checked - checked, stripe_contract.broken) == (1, []), name


@pytest.mark.parametrize(("gateway", "calls"), ALL, ids=[kind.__name__ for kind, _ in ALL])
def test_no_method_is_left_out(gateway: type[Any], calls: list[tuple[str, Call]]) -> None:
    """A new method of a gateway is not sent unchecked by this file."""
    methods = {name for name, _ in inspect.getmembers(gateway, inspect.isfunction) if not name.startswith("_")}
    assert {name for name, _ in calls} == methods
