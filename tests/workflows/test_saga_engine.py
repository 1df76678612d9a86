"""The engine by itself: a kind of saga that is no order needs its steps and its answers, and nothing else."""

from __future__ import annotations

import ast
import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Worker

from domain.commands import CancelRequest
from domain.repairs import RepairDecision, Resolution
from tests.support.trips import BookTrip, Trip, TripSteps
from tests.support.waiting import until
from worker import workflow_runner

Handle = WorkflowHandle[BookTrip, str]
ENGINE = sorted((Path(__file__).parents[2] / "workflows" / "saga").glob("*.py"))
MESSAGES = {"domain.commands", "domain.errors", "domain.repairs"}  # what is told and decided about any step
REFUSED = ApplicationError("no seats", type="train_full", non_retryable=True)
ALICE = CancelRequest(by="alice", wish_id="w1")


@asynccontextmanager
async def trip(client: Client, steps: TripSteps) -> AsyncIterator[Handle]:
    """A trip that is being booked, as workflows run in production."""
    queue = f"trips-{secrets.token_hex(4)}"
    async with Worker(
        client, task_queue=queue, workflows=[BookTrip], activities=steps.methods(), workflow_runner=workflow_runner()
    ):
        yield await client.start_workflow(
            BookTrip.run, Trip(trip_id=queue, lean=steps.lean), id=queue, task_queue=queue
        )


@pytest.fixture(params=[False, True], ids=["first", "lean"])
def steps(request: pytest.FixtureRequest) -> TripSteps:
    """In both forms of the engine every decision is the same."""
    return TripSteps(lean=request.param)


async def ended(handle: Handle) -> str:
    return await asyncio.wait_for(handle.result(), 60)


async def arrived(steps: TripSteps, step: str) -> None:
    await asyncio.wait_for(steps.began[step].wait(), 60)


async def test_runs_its_steps_in_order(temporal_client: Client, steps: TripSteps) -> None:
    """Nothing is undone, nobody is called."""
    async with trip(temporal_client, steps) as handle:
        assert await ended(handle) == "booked"
    assert steps.ran == ["book_room", "book_train", "send_vouchers"]


async def test_a_refused_step_is_undone_newest_first(temporal_client: Client, steps: TripSteps) -> None:
    """The refused step as well: it may have taken effect before it was refused."""
    steps.fails["book_train"] = [REFUSED]
    async with trip(temporal_client, steps) as handle:
        assert await ended(handle) == "train_full"
    assert steps.ran == ["book_room", "give_train_back", "give_room_back"]


async def test_a_local_attempt_that_fails_is_run_again_as_an_ordinary_activity(
    temporal_client: Client, steps: TripSteps
) -> None:
    """One failure of the far end does not end the trip."""
    steps.fails["book_room"] = [ApplicationError("away")]
    async with trip(temporal_client, steps) as handle:
        assert await ended(handle) == "booked"
    assert steps.ran == ["book_room", "book_train", "send_vouchers"]


async def test_a_cancel_is_answered_before_the_undo_ends(temporal_client: Client, steps: TripSteps) -> None:
    """The started attempt finishes, then everything is undone; who asks meanwhile joins, a repeat hears the same."""
    steps.held = {"book_train": asyncio.Event(), "give_train_back": asyncio.Event()}
    async with trip(temporal_client, steps) as handle:
        await arrived(steps, "book_train")
        first = await handle.start_update(BookTrip.cancel, ALICE, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        steps.held["book_train"].set()
        assert await first.result() == "cancel_accepted"
        assert await handle.execute_update(BookTrip.cancel, ALICE) == "cancel_accepted"
        assert await handle.execute_update(BookTrip.cancel, CancelRequest(by="bob")) == "already_canceling"
        steps.held["give_train_back"].set()
        assert await ended(handle) == "canceled by alice"
    assert steps.ran == ["book_room", "book_train", "give_train_back", "give_room_back"]


async def test_a_native_cancel_undoes_all_and_closes_as_canceled(temporal_client: Client, steps: TripSteps) -> None:
    """By the same rules as any other wish."""
    steps.held = {"book_train": asyncio.Event()}
    async with trip(temporal_client, steps) as handle:
        await arrived(steps, "book_train")
        await handle.cancel()
        steps.held["book_train"].set()
        with pytest.raises(WorkflowFailureError) as failed:
            await ended(handle)
    assert isinstance(failed.value.cause, CancelledError)
    assert steps.ran[-2:] == ["give_train_back", "give_room_back"]


async def test_a_refused_cancel_lets_it_go_on(temporal_client: Client, steps: TripSteps) -> None:
    """Its own rules decide: everything is booked."""
    steps.held = {"send_vouchers": asyncio.Event()}
    async with trip(temporal_client, steps) as handle:
        await arrived(steps, "send_vouchers")
        asked = await handle.start_update(BookTrip.cancel, ALICE, wait_for_stage=WorkflowUpdateStage.ACCEPTED)
        steps.held["send_vouchers"].set()
        assert await asked.result() == "already_booked"
        assert await ended(handle) == "booked"
    assert steps.ran == ["book_room", "book_train", "send_vouchers"]


@pytest.mark.parametrize("step", ["send_vouchers", "give_room_back"])
async def test_a_step_that_may_not_fail_calls_a_person(temporal_client: Client, steps: TripSteps, step: str) -> None:
    """An insisted step, and an undo: tried again at once at the person's word; the ticket closes by itself."""
    steps.fails[step] = [REFUSED]
    steps.fails["book_train"] = [REFUSED] if step == "give_room_back" else []
    async with trip(temporal_client, steps) as handle:
        await until(lambda: _tickets(steps), [(step, "step_refused")])
        await until(lambda: handle.query(BookTrip.needs_attention), True)
        again = Resolution(ticket_id=0, decision=RepairDecision.RETRY, by="bob")
        assert (await handle.execute_update(BookTrip.resolve, again)).code == "retry"
        assert await ended(handle) == ("train_full" if step == "give_room_back" else "booked")
        assert not await handle.query(BookTrip.needs_attention)
    assert steps.ran[-3:] == [f"ticket: {step} step_refused", step, f"closed: {step}"]


async def test_a_decision_by_signal_counts_as_well(temporal_client: Client, steps: TripSteps) -> None:
    """For a workflow that has had all the updates that it takes."""
    steps.fails["send_vouchers"] = [REFUSED]
    async with trip(temporal_client, steps) as handle:
        await until(lambda: _tickets(steps), [("send_vouchers", "step_refused")])
        again = Resolution(ticket_id=0, decision=RepairDecision.RETRY, by="bob")
        await handle.signal(BookTrip.resolve_later, again)
        assert await ended(handle) == "booked"
    assert steps.ran[-2:] == ["send_vouchers", "closed: send_vouchers"]


async def _tickets(steps: TripSteps) -> list[tuple[str, str]]:
    return [(ticket.step, ticket.kind) for ticket in steps.tickets]


@pytest.mark.parametrize("file", ENGINE, ids=lambda file: file.stem)
def test_the_engine_knows_nothing_of_what_is_run(file: Path) -> None:
    """It imports no activity, no order and no state of an order; of the messages only those that fit any saga."""
    tree = list(ast.walk(ast.parse(file.read_text())))
    modules = [node.module or "" for node in tree if isinstance(node, ast.ImportFrom)]
    ours = {module for module in modules if module.split(".")[0] in ("activities", "domain", "workflows")}
    assert {module for module in ours - MESSAGES if not module.startswith("workflows.saga")} == set()
    names = {alias.name for node in tree if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert [name for name in names if "Order" in name or "order" in name] == []
