"""Random payments at the Stripe simulator against a model of a page: no money appears, vanishes or moves twice.

Driven in process, without a server, so that thousands of steps take seconds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from devstack.stripe.simulator import build_app

KEY = "sk_test_model"
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
CARDS = {
    "pm_card_visa": "requires_capture",
    "pm_card_chargeDeclined": "requires_payment_method",
    "pm_card_authenticationRequired": "requires_action",
}
MANY = 3  # payments a run: few, so that much happens to each
PERCENT = st.sampled_from([None, 1, 30, 50, 99, 100, 101, 110])  # of what there is; None leaves the amount out
HOLD_HOURS, KEY_HOURS = 7 * 24, 24


@dataclass
class Payment:
    """What the model knows of one PaymentIntent; amounts in minor units, times in hours of the model's clock."""

    amount: int
    status: str = "requires_payment_method"
    held: int = 0
    captured: int = 0
    refunded: int = 0
    withdrawn: int = 0
    held_since: int = 0
    dispute: str | None = None
    dispute_status: str = ""

    def hold(self, hour: int) -> None:
        self.status, self.held, self.held_since = "requires_capture", self.amount, hour

    def let_go(self) -> None:
        self.status, self.held = "canceled", 0

    @property
    def refundable(self) -> int:
        disputed = self.dispute_status in ("needs_response", "lost")
        return 0 if disputed else self.captured - self.refunded


@dataclass(frozen=True)
class Sent:
    """A request whose answer Stripe keeps under its key."""

    path: str
    form: dict[str, str]
    key: str
    hour: int
    answer: tuple[int, Any] = field(compare=False)


class StripeMachine(RuleBasedStateMachine):
    intents: Bundle[str] = Bundle("intents")
    sent: Bundle[Sent] = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        app = build_app(Path(":memory:"), KEY, None, "whsec_model")
        self.lifespan = app.router.lifespan_context(app)
        self.runner.run(self.lifespan.__aenter__())
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stripe.test")
        self.payments: dict[str, Payment] = {}
        self.hour = 0
        self.calls = 0

    def teardown(self) -> None:
        for intent, payment in self.payments.items():
            seen = self.get(f"/v1/payment_intents/{intent}?expand[]=latest_charge")
            assert (seen["status"], seen["amount_capturable"]) == (payment.status, payment.held)
            assert seen["amount_received"] == payment.captured
            if payment.captured:
                assert seen["latest_charge"]["amount_refunded"] == payment.refunded
        self.runner.run(self.http.aclose())
        self.runner.run(self.lifespan.__aexit__(None, None, None))
        self.runner.close()

    def get(self, path: str) -> Any:
        answer = self.runner.run(self.http.get(path, headers={"Authorization": f"Bearer {KEY}"}))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, form: dict[str, str], key: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": key}
        answer = self.runner.run(self.http.post(path, data=form, headers=headers))
        return answer.status_code, answer.json()

    def control(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        answer = self.runner.run(self.http.post(f"/_control/{path}", json=body))
        return answer.status_code, answer.json()

    def send(self, path: str, **form: object) -> Sent:
        self.calls += 1
        given, key = {name: str(value) for name, value in form.items()}, f"key-{self.calls}"
        return Sent(path, given, key, self.hour, self.post(path, given, key))

    def kept(self, sent: Sent) -> Any:
        """Into the bundle of what can be repeated, where Stripe keeps the answer."""
        return sent if sent.answer[0] in (200, 402) else multiple()

    # what a shop does

    @precondition(lambda self: len(self.payments) < MANY)
    @rule(target=intents, amount=st.integers(50, 5000))
    def create(self, amount: int) -> str:
        form = {"metadata[order_id]": f"order-{self.calls}", "allowed_payment_method_types[0]": "card"}
        sent = self.send("/v1/payment_intents", amount=amount, currency="usd", capture_method="manual", **form)
        status, intent = sent.answer
        assert (status, intent["status"]) == (200, "requires_payment_method")
        self.payments[intent["id"]] = Payment(amount)
        return str(intent["id"])

    @precondition(lambda self: len(self.payments) < MANY)
    @rule(target=intents, amount=st.integers(50, 5000), percent=PERCENT)
    def sell(self, amount: int, percent: int | None) -> str:
        """A payment that went well, wholly or in part, so that refunds and disputes find many."""
        intent = str(self.create(amount))
        self.confirm(intent, "pm_card_visa")
        self.capture(intent, percent)
        return intent

    @rule(target=sent, intent=intents, card=st.sampled_from(sorted(CARDS)))
    def confirm(self, intent: str, card: str) -> Any:
        payment, sent = (
            self.payments[intent],
            self.send(f"/v1/payment_intents/{intent}/confirm", payment_method=card),
        )
        status, body = sent.answer
        if payment.status not in OPEN:
            assert (status, body["error"]["code"]) == (400, "payment_intent_unexpected_state")
            return multiple()
        payment.status = CARDS[card]
        assert status == (402 if payment.status == "requires_payment_method" else 200)
        if payment.status == "requires_capture":
            payment.hold(self.hour)
        return self.kept(sent)

    @rule(intent=intents, succeed=st.booleans())
    def authenticate(self, intent: str, succeed: bool) -> None:
        payment = self.payments[intent]
        status, _ = self.control(f"payment_intents/{intent}/authenticate", {"succeed": succeed})
        assert status == (200 if payment.status == "requires_action" else 400)
        if status == 200 and succeed:
            payment.hold(self.hour)
        elif status == 200:
            payment.status = "requires_payment_method"

    @rule(target=sent, intent=intents, percent=PERCENT)
    def capture(self, intent: str, percent: int | None) -> Any:
        payment = self.payments[intent]
        taken = payment.held if percent is None else max(payment.held * percent // 100, 1)
        form = {} if percent is None else {"amount_to_capture": taken}
        sent = self.send(f"/v1/payment_intents/{intent}/capture", **form)
        if payment.status != "requires_capture" or taken > payment.held:
            assert sent.answer[0] == 400
            return multiple()
        assert sent.answer[0] == 200
        payment.status, payment.held, payment.captured = "succeeded", 0, taken
        return self.kept(sent)

    @rule(target=sent, intent=intents)
    def cancel(self, intent: str) -> Any:
        payment, sent = self.payments[intent], self.send(f"/v1/payment_intents/{intent}/cancel")
        if payment.status in (*OPEN, "requires_capture"):
            assert sent.answer[0] == 200
            payment.let_go()
            return self.kept(sent)
        assert sent.answer[0] == 400
        return multiple()

    @rule(target=sent, intent=intents, percent=PERCENT)
    def refund(self, intent: str, percent: int | None) -> Any:
        payment = self.payments[intent]
        left = payment.captured - payment.refunded
        back = left if percent is None else max(left * percent // 100, 1)
        form: dict[str, object] = {} if percent is None else {"amount": back}
        sent = self.send("/v1/refunds", payment_intent=intent, **form)
        if not 0 < back <= payment.refundable:
            assert sent.answer[0] == 400
            return multiple()
        assert (sent.answer[0], sent.answer[1]["amount"]) == (200, back)
        payment.refunded += back
        return self.kept(sent)

    # what banks, cardholders and time do

    @rule(intent=intents, inquiry=st.booleans(), decided=st.sampled_from([None, "lost", "won"]))
    def dispute(self, intent: str, inquiry: bool, decided: str | None) -> None:
        payment = self.payments[intent]
        kind = "warning_needs_response" if inquiry else "needs_response"
        status, body = self.control("disputes", {"payment_intent": intent, "reason": "fraudulent", "status": kind})
        possible = payment.refundable > 0 and payment.dispute_status != "warning_needs_response"
        assert status == (200 if possible else 400)
        if status == 200:
            payment.dispute, payment.dispute_status = body["id"], kind
            payment.withdrawn = 0 if inquiry else payment.captured - payment.refunded
        if decided is not None:
            self.decide_dispute(intent, decided)

    @rule(intent=intents, outcome=st.sampled_from(["won", "lost", "warning_closed"]))
    def decide_dispute(self, intent: str, outcome: str) -> None:
        payment = self.payments[intent]
        endings = {"needs_response": ("won", "lost"), "warning_needs_response": ("warning_closed",)}
        status, _ = self.control(f"disputes/{payment.dispute}/close", {"status": outcome})
        assert status == (200 if outcome in endings.get(payment.dispute_status, ()) else 400)
        if status == 200:
            payment.dispute_status = outcome
            payment.withdrawn = payment.withdrawn if outcome == "lost" else 0

    @rule(hours=st.integers(1, 100))
    def advance_clock(self, hours: int) -> None:
        self.control("clock", {"advance_seconds": hours * 3600})
        self.hour += hours
        for payment in self.payments.values():
            if payment.held and self.hour - payment.held_since >= HOLD_HOURS:
                payment.let_go()

    # the same keys again

    @rule(sent=sent)
    def repeat(self, sent: Sent) -> None:
        """The same answer, and nothing moves, as long as the key is known."""
        if self.hour - sent.hour < KEY_HOURS:
            assert self.post(sent.path, sent.form, sent.key) == sent.answer

    @rule(sent=sent)
    def reuse_key(self, sent: Sent) -> None:
        """A known key with other parameters is refused and does nothing."""
        if self.hour - sent.hour < KEY_HOURS:
            status, body = self.post(sent.path, {**sent.form, "metadata[other]": "1"}, sent.key)
            assert (status, body["error"]["type"]) == (400, "idempotency_error")

    # what always holds

    @precondition(lambda self: bool(self.payments))
    @invariant()
    def money_is_conserved(self) -> None:
        """Ledger and model agree to the cent on every payment, and the simulator's own audit finds nothing."""
        assert self.get("/_control/audit")["violations"] == []
        sums: dict[str, dict[str, int]] = {intent: {} for intent in self.payments}
        for entry in self.get("/_control/ledger"):
            moved = sums[entry["payment_intent"]]
            moved[entry["kind"]] = moved.get(entry["kind"], 0) + entry["amount"]
        for intent, payment in self.payments.items():
            moved = sums[intent]
            gone = sum(moved.get(kind, 0) for kind in ("void", "expire", "release", "capture"))
            assert moved.get("authorize", 0) in (0, payment.amount)
            assert moved.get("authorize", 0) - gone == payment.held
            assert (moved.get("capture", 0), moved.get("refund", 0)) == (payment.captured, payment.refunded)
            withdrawn = moved.get("dispute_withdrawn", 0) - moved.get("dispute_reinstated", 0)
            assert withdrawn == payment.withdrawn


TestStripeMachine = StripeMachine.TestCase
TestStripeMachine.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
