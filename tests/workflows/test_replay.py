"""Orders that run today go on with the code of tomorrow: recorded histories are replayed.

A failure here means that running orders would get stuck. Either the change is undone, or it goes behind
`workflow.patched`; `python -m tests.recordings.record` is for new paths only.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.api.history.v1 import HistoryEvent
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

import worker
from adapters.temporal.encryption import Encryption, encrypting, is_encrypted
from adapters.temporal.key_files import make_keys
from adapters.temporal.key_ring import KeyRing
from tests.recordings.record import HISTORIES, LEAN, PATHS, SKIPPED, is_recorded
from tests.support.changed_workflows import (
    WithALookAtTheParcel,
    WithAnExtraStepFirst,
    WithAnExtraTimer,
    WithAnUndoLeftOut,
    WithStepsSwapped,
)
from tests.support.encryption import payloads_of
from tests.support.replaying import RECORDED, Told, arrivals, failures, read, told, type_of
from worker import VERSIONED, WORKFLOWS, workflow_runner

SOURCES = sorted((Path(__file__).parents[2] / "workflows").rglob("*.py"))
RACES = [file for file in RECORDED if file.stem.removeprefix(LEAN).startswith("race_")]


@pytest.fixture(scope="module")
def orders() -> list[Path]:
    """The histories of orders. Not found at import: each worker of the suite would read them all."""
    return [file for file in RECORDED if type_of(read(file)) == "OrderFulfillment"]


@pytest.fixture
def keys(tmp_path: Path) -> Encryption:
    make_keys(tmp_path / "keys")
    return Encryption(KeyRing(tmp_path / "keys"), "default")


@pytest.fixture(scope="module")
async def failed() -> dict[str, Exception]:
    """All histories replayed by one replayer, as a worker has many orders."""
    return await failures(WORKFLOWS, RECORDED)


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_a_recorded_order_replays(file: Path, failed: dict[str, Exception]) -> None:
    """Today's workflow makes the same decisions from the same history."""
    assert failed.get(file.stem) is None


async def test_every_history_survives_the_encryption(keys: Encryption) -> None:
    """Each payload that a worker would get comes back as it was; one in clear passes as it is."""
    for file in RECORDED:
        clear = [payload for event in read(file).events for payload in payloads_of(event)]
        encrypted = await keys.encode(clear)
        assert all(map(is_encrypted, encrypted)) and not any(map(is_encrypted, clear)), file.stem
        assert await keys.decode(encrypted) == await keys.decode(clear) == clear != [], file.stem


async def test_encrypted_orders_replay(keys: Encryption) -> None:
    """Some of all kinds: what the worker does with a payload does not depend on what is in it."""
    chosen = [*RECORDED[::10], *(file for file in RECORDED if type_of(read(file)) != "OrderFulfillment")]
    assert {type_of(read(file)) for file in chosen} == {one.__name__ for one in WORKFLOWS}
    assert await failures(WORKFLOWS, chosen, keys) == {}


async def test_histories_in_clear_replay_with_keys(keys: Encryption) -> None:
    """Orders from before go on; what they do next is encrypted."""
    chosen = RECORDED[3::20]
    encrypted = encrypting(keys)
    replayer = Replayer(workflows=WORKFLOWS, data_converter=encrypted, workflow_runner=workflow_runner())
    for file in chosen:
        await replayer.replay_workflow(read(file))
    assert len(chosen) > 5


async def test_workers_with_a_version_replay_the_same() -> None:
    """The jobs that are pinned there are classes of their own."""
    jobs = [file for file in RECORDED if type_of(read(file)) in ("Reconciliation", "StripeEvents")]
    assert len(jobs) >= 2
    assert await failures(VERSIONED, jobs) == {}


def test_every_path_is_recorded() -> None:
    """Each path that the recorder knows has its history, whole to its end; one was taken while it was open."""
    assert {file.stem.removeprefix(LEAN) for file in RECORDED} >= {*PATHS, *SKIPPED}
    assert [name for name in (*PATHS, *SKIPPED) if not is_recorded(name)] == []
    ends = Counter(read(file).events[-1].WhichOneof("attributes") for file in RECORDED)
    assert ends.pop("workflow_execution_terminated_event_attributes") == 2  # in both forms
    assert set(ends) == {
        "workflow_execution_completed_event_attributes",
        "workflow_execution_canceled_event_attributes",
    }


def test_every_step_signal_update_and_patch_is_in_some_history() -> None:
    """What is new in a workflow needs a path in the recorder: without one the gate would not see it change."""
    recorded = {(type_of(history), one) for history in map(read, RECORDED) for one in told(history)}
    activities = {one.name for _, one in recorded if one.kind == "activity"}
    assert set(_names_of_activities()) <= activities
    assert {"cancel", "resolve", "checkout", "outcome"} <= {handler.name for _, handler in _handlers()}
    assert set(_handlers()) <= recorded
    assert set(_patches()) <= {one.name for _, one in recorded if one.kind == "patch"}


def _names_of_activities() -> Iterator[str]:
    for method in ast.walk(ast.parse(Path(worker.__file__).read_text())):
        if isinstance(method, ast.FunctionDef) and method.name == "methods":
            [returned] = [node for node in ast.walk(method) if isinstance(node, ast.List)]
            yield from (item.attr for item in returned.elts if isinstance(item, ast.Attribute))


def _handlers() -> Iterator[tuple[str, Told]]:
    """Of each workflow: its signals and updates, also those that it inherits."""
    for one in WORKFLOWS:
        definition = workflow._Definition.must_from_class(one)
        for kind, handlers in (("signal", definition.signals), ("update", definition.updates)):
            yield from ((one.__name__, Told(kind, name)) for name in handlers if name is not None)


def _patches() -> Iterator[str]:
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "workflow.patched":
                yield ast.literal_eval(node.args[0])


@pytest.mark.parametrize("file", RACES, ids=lambda file: file.stem)
def test_a_race_is_recorded_in_its_order(file: Path) -> None:
    """The cancel and what it races with reached the order in one workflow task, in the order that the name says."""
    tasks = [[_side(event) for event in batch] for batch in arrivals(read(file))]
    wanted = ["cancel", "other"] if "_after_" in file.stem else ["other", "cancel"]
    assert wanted in [[side for side in sides if side] for sides in tasks]


def _side(event: HistoryEvent) -> str:
    kind = event.WhichOneof("attributes")
    if kind == "workflow_execution_cancel_requested_event_attributes":
        return "cancel"
    if kind == "workflow_execution_signaled_event_attributes":
        name = event.workflow_execution_signaled_event_attributes.signal_name
        return "cancel" if name == "cancel_order" else "other"
    ends = ("activity_task_completed_event_attributes", "activity_task_failed_event_attributes")
    return "other" if kind in ends else ""


def test_a_history_names_no_machine() -> None:
    """Recordings are part of the repository: no host, no folder, no personal data of the one who made them."""
    words = ("@", "site-packages", "identity", "stackTrace")
    found = [f"{file.stem} has {word}" for file in RECORDED for word in words if word in file.read_text()]
    assert RECORDED != [] == found


# the gate catches what would break running orders, and lets pass what would not


async def test_a_change_behind_a_patch_passes(orders: list[Path]) -> None:
    """The documented way: every recorded order that comes to that place goes on along the path that it has taken."""
    there = [file for file in orders if Told("activity", "capture_payment") in told(read(file))]
    assert len(there) > 40
    assert await failures([WithALookAtTheParcel], there) == {}


async def test_a_step_in_front_of_all_is_caught_on_every_path(orders: list[Path]) -> None:
    """Each order that took a step at all fails."""
    caught = await failures([WithAnExtraStepFirst], orders)
    untouched = {"canceled_before_the_first_step", "a_lost_task_undone"}  # canceled before anything else
    assert {file.stem.removeprefix(LEAN) for file in orders if file.stem not in caught} == untouched
    assert {type(failure) for failure in caught.values()} == {NondeterminismError}


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        (WithAnExtraTimer, "delivered"),
        (WithAnExtraTimer, "canceled_while_waiting_to_ship"),
        (WithStepsSwapped, "delivered"),
        (WithAnUndoLeftOut, "out_of_stock"),
        (WithAnUndoLeftOut, "declined"),
        (WithAnUndoLeftOut, "capture_refused"),
        (WithAnUndoLeftOut, "canceled_ready_to_ship"),
        (WithAnUndoLeftOut, "race_capture_payment_ended_before_the_cancel_natively"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_a_change_without_a_patch_is_caught(changed: type, path: str) -> None:
    """A pause, an order of steps, an undo: the histories of the paths that it touches fail."""
    failure = (await failures([changed], [HISTORIES / f"{path}.json"]))[path]
    assert isinstance(failure, NondeterminismError)
