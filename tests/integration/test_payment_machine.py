"""Any sequence of a payment's steps, late attempts, bad answers and forgotten keys: the money is right all the way.

Hypothesis draws the sequences; the steps run on PostgreSQL and the simulator as their activities do. After each step
Stripe's ledger may hold one live authorization of the order at most, and never more captured than was authorized,
never more refunded than was captured. In the end, undone or captured, ledger and books are equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import update
from sqlmodel import col
from temporalio.client import Client

from adapters.clock import now
from adapters.postgres.database import create_engine, create_sessions
from adapters.settings import Settings
from devstack.stack.stack import Stack
from domain.commands import Authorization, AuthorizationState, OrderRef, PaymentTry
from domain.errors import BusinessRefusal, OrderSagaError, StepUndone
from services.payments.tables import PaymentAttempt
from tests.support.orders import Shop
from tests.support.steps import Steps
from worker import build_activities

OPERATIONS = ["create", "confirm", "capture", "cancel", "retrieve", "list"]
FAULTS = [
    "before_effect", "after_effect_drop", "error_500_saved", "error_500_unsaved", "rate_limit_429", "truncated_body",
]  # fmt: skip
CARDS = ["pm_card_visa", "pm_card_mastercard", "pm_card_chargeDeclined", "pm_card_visa_chargeDeclinedStolenCard"]


class Station:
    """The steps, run to their end from a state machine that knows no `await`."""

    def __init__(self, stack: Stack, settings: Settings) -> None:
        self._runner = asyncio.Runner()
        self._stack, self._settings = stack, settings
        self.shop: Shop
        self.steps: Steps

    def run(self, coroutine: Any) -> Any:
        return self._runner.run(coroutine)

    def __enter__(self) -> Station:
        self.run(self._open())
        return self

    async def _open(self) -> None:
        self._engine = create_engine(self._settings)
        self._http = httpx.AsyncClient(trust_env=False, timeout=60)
        self._building = build_activities(self._settings)
        self._activities = activities = await self._building.__aenter__()
        client: Client = None  # type: ignore[assignment]  # no workflow runs here
        self.shop = Shop(self._stack, self._settings, create_sessions(self._engine), client, self._http)
        self.steps = Steps(activities, self.shop)

    def __exit__(self, *_: object) -> None:
        self.run(self._close())
        self._runner.close()

    async def heard(self, order_id: str, payment_intent_id: str) -> None:
        """As after a webhook, or in the comparison of books."""
        comparison = self._activities.comparison
        await comparison._refunds.book(order_id, await comparison._stripe.payment(payment_intent_id))

    async def _close(self) -> None:
        await self.shop.no_faults()
        await self._building.__aexit__(None, None, None)
        await self._http.aclose()
        await self._engine.dispose()


class PaymentMachine(RuleBasedStateMachine):
    """One order. `sent` are the arguments that steps ran with: late attempts run with them again."""

    station: ClassVar[Station]

    def __init__(self) -> None:
        super().__init__()
        self.order_id = self.station.run(self._reserved_order())
        self.round = PaymentTry(order_id=self.order_id, keep_card=True, retry_until=now() + timedelta(hours=1))
        self.state: AuthorizationState | None = None
        self.captured = self.undone = False
        self.sent: list[tuple[str, OrderRef]] = []

    async def _reserved_order(self) -> str:
        shop = self.station.shop
        order = await shop.put(await shop.product())
        await self.station.steps.run("reserve_inventory", order.order_id)
        return order.order_id

    def attempt(self, step: str, ref: OrderRef, attempt: int = 1) -> Any:
        """The step's answer, or the error of the domain that it ended with."""
        self.sent.append((step, ref))
        try:
            return self.station.run(self.station.steps.run_with(step, ref, attempt=attempt))
        except OrderSagaError as error:
            return error

    def insist(self, step: str, ref: OrderRef) -> Any:
        """Attempts as the engine makes them, until there is an answer or a refusal."""
        for attempt in range(1, 12):
            answer = self.attempt(step, ref, attempt)
            if not isinstance(answer, OrderSagaError) or isinstance(answer, BusinessRefusal | StepUndone):
                return answer
        raise AssertionError(f"{step} did not settle: {answer}")

    # what may happen

    @rule(operation=st.sampled_from(OPERATIONS), kind=st.sampled_from(FAULTS))
    def stripe_has_a_bad_moment(self, operation: str, kind: str) -> None:
        self.station.run(self.station.shop.fault("stripe", f"payment_intents.{operation}", kind))

    @rule()
    def a_day_passes_for_the_keys(self) -> None:
        calls = update(PaymentAttempt).where(col(PaymentAttempt.order_id) == self.order_id)
        self.station.run(self._write(calls.values(first_sent_at=now() - timedelta(hours=25))))

    async def _write(self, statement: Any) -> None:
        async with self.station.shop.sessions() as session, session.begin():
            await session.exec(statement)

    @precondition(lambda self: self.state is not AuthorizationState.AUTHORIZED and not self.undone)
    @rule(card=st.sampled_from(CARDS))
    def the_customer_pays(self, card: str) -> None:
        if self.state is AuthorizationState.DECLINED:
            self.round = self.round.model_copy(update={"round": self.round.round + 1})
        if self.state is not None or not self.sent:
            self.round = self.round.model_copy(update={"payment_method": card})
        self._take(self.insist("authorize_payment", self.round))

    @precondition(lambda self: self.state is AuthorizationState.AUTHORIZED and not self.captured and not self.undone)
    @rule()
    def the_authorization_is_renewed(self) -> None:
        ref = PaymentTry(order_id=self.order_id, round=self.round.round + 1, renew=True)
        answer = self.insist("keep_authorization", ref)
        if isinstance(answer, Authorization) and answer.round != ref.round:
            assert answer.round == self.round.round, "what cannot be renewed, or was captured, keeps its round"
        else:
            self.round = ref
        self._take(answer)

    def _take(self, answer: Any) -> None:
        self.state = answer.state if isinstance(answer, Authorization) else None
        self.undone = self.undone or isinstance(answer, BusinessRefusal | StepUndone)
        if self.undone:
            self._undo()

    @precondition(lambda self: self.state is AuthorizationState.AUTHORIZED and not self.captured and not self.undone)
    @rule()
    def the_parcel_is_paid(self) -> None:
        self.insist("ship_order", OrderRef(order_id=self.order_id))
        self.insist("capture_payment", OrderRef(order_id=self.order_id))
        self.captured = True

    @precondition(lambda self: self.captured and not self.undone)
    @rule(minor=st.sampled_from([300, 1000, 2000]))
    def somebody_refunds_in_the_dashboard(self, minor: int) -> None:
        self.in_the_dashboard("refunds", payment_intent=self.payment(), amount=str(minor))

    @precondition(lambda self: self.state is AuthorizationState.AUTHORIZED and not self.captured and not self.undone)
    @rule()
    def somebody_captures_in_the_dashboard(self) -> None:
        self.in_the_dashboard(f"payment_intents/{self.payment()}/capture")

    def payment(self) -> str:
        async def read() -> str:
            return (await self.station.shop.booked_payment(self.order_id)).payment_intent_id

        return str(self.station.run(read()))

    def in_the_dashboard(self, path: str, **params: str) -> None:
        """Whatever Stripe answers: the person may see an error."""
        with suppress(httpx.HTTPError):
            self.station.run(self.station.shop.at_stripe("POST", path, **params))

    @precondition(lambda self: not self.undone)
    @rule()
    def the_order_is_undone(self) -> None:
        self.undone = True
        self._undo()

    def _undo(self) -> None:
        self.insist("return_payment", OrderRef(order_id=self.order_id))

    @precondition(lambda self: bool(self.sent))
    @rule(data=st.data(), attempt=st.integers(1, 6))
    def a_late_attempt_arrives(self, data: st.DataObject, attempt: int) -> None:
        step, ref = data.draw(st.sampled_from(self.sent))
        self.attempt(step, ref, attempt)

    # what must always be true

    @invariant()
    def the_ledger_is_sound(self) -> None:
        live: dict[str, list[int]] = {}  # payment intent -> [held, captured, refunded]
        for entry in self.station.run(self.station.steps.ledger("stripe", self.order_id)):
            money = live.setdefault(entry["payment_intent"], [0, 0, 0])
            _book(money, entry["kind"], entry["amount"])
            held, captured, refunded = zip(*live.values(), strict=True)
            assert sum(one > 0 for one in held) <= 1, "two live authorizations"
            assert sum(captured) <= 2000
            assert all(refund <= capture for refund, capture in zip(refunded, captured, strict=True))

    def teardown(self) -> None:
        self.station.run(self.station.shop.no_faults())
        if self.undone:
            self._undo()
        held, kept = self.station.run(self.station.shop.money(self.order_id))
        if self.captured and not self.undone:
            self.station.run(self.station.heard(self.order_id, self.payment()))
        order = self.station.run(self.station.shop.order(self.order_id))
        if self.undone:
            assert (held, kept) == (0, 0)
            assert order.payment_status in ("Pending", "Voided", "Refunded", "Failed")
        elif self.captured:
            paid = "Captured" if kept == 2000 else "PartiallyRefunded" if kept else "Refunded"
            assert (held, order.payment_status) == (0, paid)
            booked = self.station.run(self.station.shop.booked_payment(self.order_id))
            assert booked.captured_minor - booked.refunded_minor == kept


def _book(money: list[int], kind: str, amount: int) -> None:
    if kind == "authorize":
        money[0] = amount
    elif kind == "capture":
        assert amount <= money[0], "more captured than authorized"
        money[0], money[1] = 0, amount
    elif kind in ("void", "expire"):
        money[0] = 0
    elif kind == "refund":
        money[2] += amount


@pytest.fixture
def station(stack: Stack, base_settings: Settings) -> Iterator[Station]:
    with Station(stack, base_settings) as station:
        yield station


@pytest.mark.parametrize("orders", [12, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_any_sequence_of_steps_keeps_the_money_right(station: Station, orders: int) -> None:
    """Random orders of up to 20 events each; a hundred of them in the long run."""
    PaymentMachine.station = station
    rules = settings(max_examples=orders, stateful_step_count=20, deadline=None, suppress_health_check=[*HealthCheck])
    run_state_machine_as_test(PaymentMachine, settings=rules)
