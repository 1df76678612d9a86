"""Heartbeats: a long attempt lives, a cancel does not interrupt it, and a stopping worker does."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.workflow import ActivityCancellationType

from activities.interceptors.failures import FailureTranslation
from activities.interceptors.heartbeats import INTERVAL, Heartbeats
from workflows.saga import policies

pytestmark = pytest.mark.slow

TIMEOUT = timedelta(seconds=2)
BEAT = timedelta(seconds=0.1)


class Attempt:
    """One attempt of an activity that the test watches and lets go."""

    def __init__(self) -> None:
        self.began, self.cancel_seen, self.let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.over = asyncio.Event()
        self.interrupted = False

    @activity.defn(name="attempt")
    async def run(self) -> int:
        self.began.set()
        watch = asyncio.create_task(self._watch())
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.interrupted = True
            raise
        finally:
            watch.cancel()
            self.over.set()
        return activity.info().attempt

    async def _watch(self) -> None:
        await activity.wait_for_cancelled()
        self.cancel_seen.set()


@workflow.defn(sandboxed=False)
class OneAttempt:
    """Runs one activity as the saga's forward steps do; the signal `turn_back` cancels it."""

    @workflow.run
    async def run(self, seconds: float = 30) -> int:
        self._handle = workflow.start_activity(
            "attempt",
            result_type=int,
            start_to_close_timeout=timedelta(seconds=seconds),
            heartbeat_timeout=TIMEOUT,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10)),
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        result: int = await self._handle
        return result

    @workflow.signal
    def turn_back(self) -> None:
        self._handle.cancel()


@workflow.defn(sandboxed=False)
class OneLocalAttempt:
    """Runs one activity as the saga's first steps do."""

    @workflow.run
    async def run(self, seconds: float) -> str:
        try:
            await workflow.execute_local_activity(
                "attempt",
                start_to_close_timeout=timedelta(seconds=seconds),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError as error:
            return type(error.cause).__name__
        return "it ended"


@asynccontextmanager
async def _worker(client: Client, attempt: Attempt, *, grace: timedelta) -> AsyncIterator[str]:
    queue = f"heartbeats-{secrets.token_hex(4)}"
    async with Worker(
        client,
        task_queue=queue,
        workflows=[OneAttempt, OneLocalAttempt],
        activities=[attempt.run],
        interceptors=[FailureTranslation(), Heartbeats(BEAT, grace)],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_heartbeat_throttle_interval=BEAT,
        graceful_shutdown_timeout=grace,
    ):
        yield queue


async def test_a_cancel_does_not_interrupt_a_running_attempt(temporal_client: Client) -> None:
    """The attempt learns of the cancel by its heartbeat, goes on beating, finishes, and its answer counts."""
    attempt = Attempt()
    async with _worker(temporal_client, attempt, grace=timedelta(seconds=5)) as queue:
        handle = await temporal_client.start_workflow(OneAttempt.run, id=f"w-{queue}", task_queue=queue)
        await asyncio.wait_for(attempt.began.wait(), 60)
        await handle.signal(OneAttempt.turn_back)
        await asyncio.wait_for(attempt.cancel_seen.wait(), 60)
        await asyncio.sleep(2 * TIMEOUT.total_seconds())  # long enough for a silent attempt to be given up
        attempt.let_go.set()
        assert await asyncio.wait_for(handle.result(), 60) == 1
    assert not attempt.interrupted


async def test_an_attempt_longer_than_the_heartbeat_timeout_is_not_given_up(temporal_client: Client) -> None:
    """A slow far end is no dead worker: the first attempt is the one that answers."""
    attempt = Attempt()
    async with _worker(temporal_client, attempt, grace=timedelta(seconds=5)) as queue:
        handle = await temporal_client.start_workflow(OneAttempt.run, id=f"w-{queue}", task_queue=queue)
        await asyncio.wait_for(attempt.began.wait(), 60)
        await asyncio.sleep(2 * TIMEOUT.total_seconds())
        attempt.let_go.set()
        assert await asyncio.wait_for(handle.result(), 60) == 1


async def test_a_stopping_worker_interrupts_an_attempt_that_outlasts_its_grace(temporal_client: Client) -> None:
    """The worker ends although the attempt does not; another worker's attempt answers."""
    first, second = Attempt(), Attempt()
    second.let_go.set()
    async with _worker(temporal_client, first, grace=timedelta(milliseconds=50)) as queue:
        handle = await temporal_client.start_workflow(OneAttempt.run, id=f"w-{queue}", task_queue=queue)
        await asyncio.wait_for(first.began.wait(), 60)
    assert first.interrupted
    async with Worker(
        temporal_client,
        task_queue=queue,
        workflows=[OneAttempt],
        activities=[second.run],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        assert await asyncio.wait_for(handle.result(), 60) == 2


async def test_a_stopping_worker_interrupts_an_attempt_that_a_cancel_did_not(temporal_client: Client) -> None:
    """The SDK cancels an attempt once: that one was ignored, and yet the worker comes to its end."""
    attempt = Attempt()
    async with _worker(temporal_client, attempt, grace=timedelta(milliseconds=50)) as queue:
        handle = await temporal_client.start_workflow(OneAttempt.run, id=f"w-{queue}", task_queue=queue)
        await asyncio.wait_for(attempt.began.wait(), 60)
        await handle.terminate()
        await asyncio.wait_for(attempt.cancel_seen.wait(), 60)
    assert attempt.interrupted


@pytest.mark.parametrize("beaten", [True, False], ids=["asked to stop before", "left alone"])
async def test_an_attempt_whose_time_is_over_is_interrupted(temporal_client: Client, beaten: bool) -> None:
    """It gives its slot and its connections up, and the next attempt answers, also where a cancel came before."""
    first = Attempt()
    async with _worker(temporal_client, first, grace=timedelta(seconds=5)) as queue:
        handle = await temporal_client.start_workflow(OneAttempt.run, 2.0, id=f"w-{queue}", task_queue=queue)
        await asyncio.wait_for(first.began.wait(), 20)
        if beaten:
            await handle.signal(OneAttempt.turn_back)
            await asyncio.wait_for(first.cancel_seen.wait(), 20)
            assert not first.interrupted
        await asyncio.wait_for(first.over.wait(), 20)
        first.let_go.set()
        if beaten:
            with pytest.raises(WorkflowFailureError):  # canceled, as it was asked to be: nobody tries again
                await asyncio.wait_for(handle.result(), 20)
        else:
            assert await asyncio.wait_for(handle.result(), 20) == 2
    assert first.interrupted


async def test_a_local_attempt_whose_time_is_over_is_interrupted(temporal_client: Client) -> None:
    """The SDK says so by itself."""
    attempt = Attempt()
    async with _worker(temporal_client, attempt, grace=timedelta(seconds=5)) as queue:
        handle = await temporal_client.start_workflow(OneLocalAttempt.run, 0.5, id=f"w-{queue}", task_queue=queue)
        await asyncio.wait_for(attempt.over.wait(), 20)
        assert await asyncio.wait_for(handle.result(), 20) == "TimeoutError"
    assert attempt.interrupted


@pytest.mark.parametrize("policy", ["WITH_TIME_LIMIT", "WITHOUT_TIME_LIMIT", "UNTIL_DONE"])
def test_every_ordinary_step_has_a_heartbeat_timeout_that_survives_two_lost_beats(policy: str) -> None:
    """A worker is given up for dead only when three beats in a row are missing."""
    timeout = getattr(policies, policy)["heartbeat_timeout"]
    assert timeout >= 3 * INTERVAL
