"""From our errors to the engine's: which are answers, which are retried, which are loud."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from domain.errors import (
    BusinessRefusal,
    OrderSagaError,
    OurFault,
    OurMistake,
    PaymentDeclined,
    Refused,
    StepUndone,
    TryAgain,
    Unavailable,
)

log = structlog.get_logger(__name__)

FAULT_RETRY = timedelta(minutes=1)
"""A person has to mend a fault of ours: once a minute is soon enough, also for the far end."""


class FailureTranslation(Interceptor):
    """`fault_retry` is the time between two tries of a step that waits for a fault of ours to be mended."""

    def __init__(self, fault_retry: timedelta = FAULT_RETRY) -> None:
        self._fault_retry = fault_retry

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Called by the SDK for each attempt."""
        return _Translation(next, self._fault_retry)


class _Translation(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, fault_retry: timedelta) -> None:
        super().__init__(next)
        self._fault_retry = fault_retry

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        context = {"workflow_id": info.workflow_id, "step": info.activity_type, "attempt": info.attempt}
        with structlog.contextvars.bound_contextvars(**context):
            try:
                return await super().execute_activity(input)
            except OrderSagaError as error:
                # What is expected needs no stack in the history; a mistake of ours does.
                failure = translate(error, local=info.is_local, fault_retry=self._fault_retry)
                raise failure from (error if isinstance(error, OurMistake) else None)


def translate(
    error: OrderSagaError, *, local: bool = False, fault_retry: timedelta = FAULT_RETRY
) -> ApplicationError:
    """BENIGN marks what is expected, so that it neither fills the logs nor raises the failure metrics.

    A local attempt names no delay: the SDK would wait for it inside the worker, whatever the retry policy says of
    attempts, while the step is to go on as an ordinary activity that people can see and a cancel can reach.
    """
    benign = ApplicationErrorCategory.BENIGN
    if isinstance(error, PaymentDeclined):
        log.info("payment declined", code=error.code, operator=error.operator, final=error.final)
        details = {"operator": error.operator, "final": error.final}
        return ApplicationError(str(error), details, type=error.code, non_retryable=True, category=benign)
    if isinstance(error, BusinessRefusal | StepUndone) or _is_an_answer(error):
        return ApplicationError(str(error), type=error.code, non_retryable=True, category=benign)
    if isinstance(error, OurMistake):
        log.error("step refused as our mistake", code=error.code, detail=str(error))
        return ApplicationError(str(error), type=error.code, non_retryable=True)
    if isinstance(error, OurFault):
        log.error("step waits for a mended fault of ours", code=error.code, cause=error.cause, detail=str(error))
        return ApplicationError(str(error), type=error.code, next_retry_delay=None if local else fault_retry)
    delay = error.delay if isinstance(error, TryAgain) and not local else None
    return ApplicationError(str(error), type=error.code, next_retry_delay=delay, category=benign)


def _is_an_answer(error: OrderSagaError) -> bool:
    """Whether the services refuse what the step asks of them, so that the same again is refused again."""
    return isinstance(error, Refused) and not isinstance(error, Unavailable)
