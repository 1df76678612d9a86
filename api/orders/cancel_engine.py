"""Asks an order's workflow to cancel it: by update where there is room for one, by signal where there is none.

A workflow takes ten updates at a time. The decision on a signal is read from the books, where it stands for all.
Update and signal carry the id of the wish, so that one that arrives both ways is decided once.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio.client import (
    WorkflowUpdateHandle,
    WorkflowUpdateRPCTimeoutOrCancelledError,
    WorkflowUpdateStage,
)
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import workflow_id
from api.deps import Services
from domain.commands import CancelAnswer, CancelRequest
from domain.order_states import OrderStatus
from engine.calls import TAKES_NO_MORE, engine_away, workflow_calls
from engine.orders import start_of, start_signaled
from services.orders.tables import Order
from services.shipping.cancel_books import look
from workflows.order_fulfillment import OrderFulfillment

NOTE_TIMEOUT = 2.0  # seconds that a signal gets at least, also where the caller's time has ended
PATIENCE = 2.0  # seconds until a wish that no workflow took up is noted; taking it up needs a hundredth of that
FIRST_LOOK, LAST_LOOK = 0.1, 0.8  # seconds between two looks at the books; doubled from the first to the last
CANCEL_SIGNAL = "cancel_order"

Asked = WorkflowUpdateHandle[CancelAnswer]


class Asking:
    """One wish on its way to the order's workflow, within the time that the caller waits."""

    def __init__(self, services: Services, order_id: str, request: CancelRequest) -> None:
        self._services, self._order_id, self._request = services, order_id, request
        self._budget = services.settings.checkout_budget
        self._end = asyncio.get_running_loop().time() + self._budget
        self._handle = services.temporal.get_workflow_handle(workflow_id(order_id))

    async def decide(self) -> CancelAnswer | None:
        """The decision; None when there is none within the budget, a checkout's: the wish is kept all the same.

        Raises NoWorkflow where there is none, Unavailable where the engine is away.
        """
        following = asyncio.create_task(self._follow())
        try:
            with self._services.places.take(self._order_id) as place:
                asked = await self._ask(following) if place else None
                if not place:
                    await self._note()
                async with asyncio.timeout_at(self._end):
                    if asked is None:
                        return await following
                    with workflow_calls():
                        return await asked.result(rpc_timeout=timedelta(seconds=self._budget))
        except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
            return None
        finally:
            following.cancel()

    async def _ask(self, following: asyncio.Task[CancelAnswer]) -> Asked | None:
        """The update, once it is accepted, which means durable; None where the books know the decision, or will."""
        asking = asyncio.create_task(self._start_update())
        patience = min(PATIENCE, self._budget / 2)
        try:
            await asyncio.wait({asking, following}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()  # the SDK would try again for longer than anybody waits
        await asyncio.wait({asking})
        with workflow_calls():
            try:
                return asking.result()
            except (asyncio.CancelledError, WorkflowUpdateRPCTimeoutOrCancelledError):
                pass
            except RPCError as error:
                if error.status not in TAKES_NO_MORE:
                    raise
        if not following.done():
            await self._note()
        return None

    async def _note(self) -> None:
        """An update that no worker has accepted is only in the engine's memory; a signal is kept until one comes."""
        left = self._end - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(left, NOTE_TIMEOUT)):
                with workflow_calls():
                    await self._signal()
        except TimeoutError:
            raise engine_away() from None

    async def _signal(self) -> None:
        words = self._request.model_dump()
        try:
            await self._handle.signal(OrderFulfillment.cancel_order, words)
        except RPCError as error:
            row = await self._never_started(error)
            await start_signaled(self._services.temporal, self._services.settings, row, CANCEL_SIGNAL, words)

    async def _follow(self) -> CancelAnswer:
        """The decision by the table, as soon as the books allow of no other."""
        pause = FIRST_LOOK
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_LOOK)
            if (answer := (await look(self._services.reads, self._order_id)).answer) is not None:
                return answer

    async def _start_update(self) -> Asked:
        """The update's id is the wish's: what is sent again joins what was sent first."""
        update_id, timeout = f"cancel-{self._request.wish_id}", timedelta(seconds=self._budget)
        stage = WorkflowUpdateStage.ACCEPTED
        try:
            return await self._handle.start_update(
                OrderFulfillment.cancel, self._request, id=update_id, wait_for_stage=stage, rpc_timeout=timeout
            )
        except RPCError as error:
            row = await self._never_started(error)
        async with start_of(self._services.settings, row) as start:
            return await self._services.temporal.start_update_with_start_workflow(
                OrderFulfillment.cancel,
                self._request,
                start_workflow_operation=start,
                id=update_id,
                wait_for_stage=stage,
                rpc_timeout=timeout,
            )

    async def _never_started(self, error: RPCError) -> Order:
        """An order that was placed while the engine was away: its workflow is started to be canceled, so that it ends
        like any other. Raises the error of the call where that is not so."""
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise error
        async with self._services.sessions() as session:
            row = await session.get_one(Order, self._order_id)
        if row.status != OrderStatus.PLACED:
            raise error
        return row
