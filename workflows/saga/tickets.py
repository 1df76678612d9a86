"""What the engine needs of a repair desk: each kind of saga says how its tickets are opened, closed and decided."""

from __future__ import annotations

from abc import ABC, abstractmethod

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.repairs import Resolution, SettledTicket


class TicketDesk(ABC):
    """The tickets about one saga. Every method runs until it has succeeded."""

    @abstractmethod
    async def open(self, step: str, kind: str, detail: str) -> bool:
        """Opens a ticket about the step; False where nobody is needed yet, and no ticket was opened.

        `kind` is one of `domain.repairs`, `detail` a sentence for people.
        """

    @abstractmethod
    async def close(self, step: str) -> None:
        """Closes all tickets about the step: it has succeeded by itself."""

    @abstractmethod
    async def settle(self, key: str, resolution: Resolution) -> SettledTicket:
        """Writes down what an operator has decided; the same `key` again writes nothing and answers the same."""

    @abstractmethod
    def flag(self, needs_attention: bool) -> None:
        """Marks the workflow as one that waits for a person, or takes the mark away."""
