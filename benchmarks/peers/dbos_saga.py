"""The saga as DBOS has it: a workflow function, its steps, and a list of compensations.

Twice, since DBOS offers two kinds of step and each has its use: `@DBOS.step` for work anywhere (it may run twice, so
the work is idempotent, as ours is), and a transaction of a datasource for work in an own database (its effect and its
checkpoint commit together).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from dbos import DBOS, AsyncSQLAlchemyDatasource, SetWorkflowID, error
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from benchmarks import database_steps
from benchmarks.database_steps import DatabaseSteps, product_of

Step = Callable[[str], Awaitable[Any]]
Saga = Callable[[str], Awaitable[str]]

# As the plain saga retries: 5 attempts, the first after 1 s.
RETRIED = DBOS.step(retries_allowed=True, max_attempts=5, interval_seconds=1.0, backoff_rate=2.0)


def step_saga(steps: DatabaseSteps) -> Saga:
    """A workflow of ordinary steps over the same pool of connections that the other contenders use."""

    @RETRIED
    async def reserve_stock(order_id: str) -> None:
        await steps.reserve(order_id)

    @RETRIED
    async def release_stock(order_id: str) -> None:
        await steps.release(order_id)

    @RETRIED
    async def charge_payment(order_id: str) -> None:
        await steps.pay(order_id)

    @RETRIED
    async def refund_payment(order_id: str) -> None:
        await steps.refund(order_id)

    @RETRIED
    async def book_shipment(order_id: str) -> None:
        await steps.ship(order_id)

    @RETRIED
    async def cancel_shipment(order_id: str) -> None:
        await steps.unship(order_id)

    pairs = [
        (reserve_stock, release_stock),
        (charge_payment, refund_payment),
        (book_shipment, cancel_shipment),
    ]
    return _workflow("steps", pairs, error.DBOSMaxStepRetriesExceeded)


def transaction_saga(source: AsyncSQLAlchemyDatasource) -> Saga:
    """A workflow of transactions: the same statements, through the datasource's session."""

    def transaction(name: str, statement: str) -> Step:
        sql = text(statement.replace("$1", ":order_id").replace("$2", ":product_id"))

        # One statement sees one snapshot at any level; a stricter one would only retry what met at a product's row.
        @source.transaction(name=name, isolation_level="READ COMMITTED")
        async def run(order_id: str) -> None:
            values = {"order_id": order_id, "product_id": product_of(order_id)}
            await source.sql_session().execute(sql, values)

        return run

    pairs = [
        (transaction("reserve_stock", database_steps.RESERVE), transaction("release_stock", database_steps.RELEASE)),
        (transaction("charge_payment", database_steps.PAY), transaction("refund_payment", database_steps.REFUND)),
        (transaction("book_shipment", database_steps.SHIP), transaction("cancel_shipment", database_steps.UNSHIP)),
    ]
    return _workflow("transactions", pairs, DBAPIError)


def _workflow(name: str, pairs: Sequence[tuple[Step, Step]], failure: type[Exception]) -> Saga:
    """`failure` is what a step raises that is given up."""

    @DBOS.workflow(name=name)
    async def saga(order_id: str) -> str:
        compensations: list[Step] = []
        try:
            for step, compensation in pairs:
                compensations.append(compensation)
                await step(order_id)
        except failure:
            for compensation in reversed(compensations):
                await compensation(order_id)
            raise
        return "COMPLETED"

    return saga


class DbosPeer:
    """Calls the workflow as the function that it is, under the order's id: a repeat gets the first one's result."""

    def __init__(self, saga: Saga) -> None:
        self._saga = saga

    async def place(self, order_id: str) -> str:
        with SetWorkflowID(order_id):
            await self._saga(order_id)
        return order_id

    async def entries(self, order_id: str) -> int:
        """The row of the workflow and those of its steps."""
        return 1 + len(await DBOS.list_workflow_steps_async(order_id))
