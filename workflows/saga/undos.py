"""The undos that a saga owes: which there are, and in which order they run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.saga.steps import Activity


class LongUndo(ABC):
    """An undo that is more than one activity: it waits for another system in between."""

    @abstractmethod
    async def run(self) -> None:
        """Returns when the step is undone."""


class Undos:
    """A stack: the undo that was registered last runs first."""

    def __init__(self) -> None:
        self._stack: list[Activity[Any] | LongUndo] = []
        self._after_all: list[Activity[Any] | LongUndo] = []

    def register(self, undo: Activity[Any]) -> None:
        """Registers the undo of a step that is about to run, once, however often the step is begun."""
        if undo not in self._stack:
            self._stack.append(undo)

    def run_first(self, undo: Activity[Any] | LongUndo) -> None:
        """Puts `undo` on top of the stack: it runs before all others."""
        self._stack.append(undo)

    def run_after_all(self, undo: LongUndo) -> None:
        """Runs `undo` when everything else is undone: nothing waits for it."""
        self._after_all.append(undo)

    def run_last(self, *undos: Activity[Any]) -> None:
        """Puts `undos` below all others; the last one of them runs first.

        For the steps of a first workflow task: they run inside the worker, so that with a worker that dies all
        knowledge of them is lost, and the next worker may hear of a cancel first.
        """
        self._stack = [*undos, *(undo for undo in self._stack if undo not in undos)]

    def forget(self, undo: Activity[Any] | LongUndo) -> None:
        """Takes `undo` off the stack: it is done. Raises ValueError if it is not there."""
        (self._stack if undo in self._stack else self._after_all).remove(undo)

    def owes(self, undo: Activity[Any]) -> bool:
        """Whether the step that `undo` belongs to may have run and was not undone since."""
        return undo in self._stack

    @property
    def next(self) -> Activity[Any] | LongUndo | None:
        """The undo that runs next; None if nothing is left."""
        stack = self._stack or self._after_all
        return stack[-1] if stack else None
