"""From our errors to the engine's: what is retried, what is an answer, what is loud."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog
from temporalio.exceptions import ApplicationErrorCategory

from activities.interceptors.failures import FAULT_RETRY, translate
from domain.errors import (
    CallRefused,
    CaptureRefused,
    Conflict,
    Misconfigured,
    OnItsWay,
    OrderSagaError,
    OurFault,
    OurMistake,
    OutOfStock,
    ParametersDrifted,
    PaymentDeclined,
    ShipmentRefused,
    StepUndone,
    TryAgain,
    Unavailable,
)

BENIGN, LOUD = ApplicationErrorCategory.BENIGN, ApplicationErrorCategory.UNSPECIFIED


@pytest.mark.parametrize(
    ("error", "code", "retried", "category"),
    [
        (OutOfStock(["001"]), "out_of_stock", False, BENIGN),
        (PaymentDeclined("insufficient_funds", "no money"), "insufficient_funds", False, BENIGN),
        (CaptureRefused("authorization_gone", "expired"), "authorization_gone", False, BENIGN),
        (ShipmentRefused("address_refused", "no such street"), "address_refused", False, BENIGN),
        (StepUndone("undone"), "step_undone", False, BENIGN),
        (Conflict("not_captured", "no money"), "not_captured", False, BENIGN),
        (Unavailable("engine_away", "later"), "engine_away", True, BENIGN),
        (TryAgain("503"), "try_again", True, BENIGN),
        (OnItsWay("the bank has it next week"), "on_its_way", True, BENIGN),
        (OurMistake("400"), "our_mistake", False, LOUD),
        (ParametersDrifted("400"), "parameters_drifted", False, LOUD),
        (OurFault("402"), "our_fault", True, LOUD),
        (CallRefused("400"), "our_fault", True, LOUD),
        (Misconfigured("401"), "misconfigured", True, LOUD),
    ],
)
def test_tells_the_engine_what_an_error_means(
    error: OrderSagaError, code: str, retried: bool, category: ApplicationErrorCategory
) -> None:
    """An answer is never run twice, what is expected is no alarm, a mistake of ours is one."""
    failure = translate(error)
    assert failure.type == code
    assert failure.message == str(error)
    assert failure.non_retryable == (not retried)
    assert failure.category == category


def test_a_decline_carries_what_an_operator_should_do() -> None:
    """In the failure's details and in the log; the message, which the customer may see, stays as it was."""
    with structlog.testing.capture_logs() as logs:
        failure = translate(PaymentDeclined("lost_card", "the card was declined", operator="Stop.", final=True))
    assert failure.details == ({"operator": "Stop.", "final": True},)
    assert failure.message == "the card was declined"
    logged = {"event": "payment declined", "code": "lost_card", "operator": "Stop.", "final": True}
    assert logs == [{**logged, "log_level": "info"}]


@pytest.mark.parametrize("delay", [None, timedelta(seconds=7)])
def test_the_next_retry_comes_when_the_far_end_says(delay: timedelta | None) -> None:
    """Where it names a time; else by the retry policy."""
    assert translate(TryAgain("429", delay=delay)).next_retry_delay == delay


@pytest.mark.parametrize("error", [OurFault("402"), Misconfigured("401")])
def test_a_fault_of_ours_is_retried_slowly(error: OrderSagaError) -> None:
    """A person has to mend it: once a minute is soon enough."""
    assert translate(error).next_retry_delay == FAULT_RETRY


@pytest.mark.parametrize("error", [TryAgain("429", delay=timedelta(seconds=7)), OurFault("402")])
def test_a_local_attempt_names_no_delay(error: OrderSagaError) -> None:
    """The worker would sit on it: the ordinary activity that follows has its own."""
    failure = translate(error, local=True)
    assert failure.next_retry_delay is None
    assert not failure.non_retryable
