"""A decision of the repair desk reaches a workflow that has had all the updates that it takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.service import RPCError, RPCStatusCode

from api.deps import Services
from api.repairs import decisions
from domain.errors import Unavailable
from domain.repairs import STEP_KEEPS_FAILING, RepairDecision, Resolution
from services.tickets.tables import Ticket

TICKET = Ticket(id=7, order_id="o-1", kind=STEP_KEEPS_FAILING, step="ship_order", detail="")
DECISION = Resolution(ticket_id=7, decision=RepairDecision.RETRY, by="anna")


class Workflow:
    """Refuses updates with this status; `signals` are what it got."""

    def __init__(self, status: RPCStatusCode) -> None:
        self._status = status
        self.signals: list[tuple[str, Any]] = []

    def get_workflow_handle(self, id_: str) -> Workflow:
        assert id_ == "order-o-1"
        return self

    async def start_update(self, *args: Any, **options: Any) -> Any:
        raise RPCError("the limit of total updates has been reached", self._status, b"")

    async def signal(self, name: str, words: Any) -> None:
        self.signals.append((name, words))


def services(workflow: Workflow) -> Services:
    settings = SimpleNamespace(checkout_budget=1.0)
    return cast(Services, SimpleNamespace(temporal=workflow, settings=settings))


@pytest.mark.parametrize("status", [RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.RESOURCE_EXHAUSTED])
async def test_it_goes_by_signal_then(status: RPCStatusCode) -> None:
    """Nobody knows the answer yet: the ticket tells it."""
    workflow = Workflow(status)
    assert await decisions._by_workflow(services(workflow), TICKET, DECISION) is None
    assert workflow.signals == [("resolve_later", DECISION)]


async def test_an_engine_that_is_away_gets_no_signal() -> None:
    workflow = Workflow(RPCStatusCode.UNAVAILABLE)
    with pytest.raises(Unavailable):
        await decisions._by_workflow(services(workflow), TICKET, DECISION)
    assert workflow.signals == []
