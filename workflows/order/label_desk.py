"""Calls one order's parcel back by voiding its label, as long as the carrier has not scanned it."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.shipping.labels import Shipping
    from domain.void_commands import VoidOutcome
    from workflows.order.pending_void import PendingVoid
    from workflows.saga.saga import Saga


class LabelDesk:
    """The label of one order. `pending_void` waits for a void that the carrier has accepted but not confirmed."""

    def __init__(self, order_id: str, saga: Saga) -> None:
        self._saga = saga
        self.pending_void = PendingVoid(order_id, saga)

    @property
    def may_exist(self) -> bool:
        """Whether a label may have been bought and was not voided since."""
        return self._saga.undos.owes(Shipping.cancel_shipment)

    async def call_parcel_back(self) -> bool:
        """Voids the label, if there may be one; False when the parcel is on its way already."""
        if not self.may_exist:
            return True
        void = await self._saga.insist(Shipping.cancel_shipment)
        if void.outcome is VoidOutcome.SCANNED:
            return False
        self._saga.undos.forget(Shipping.cancel_shipment)
        if void.outcome is VoidOutcome.REQUESTED:
            self._wait_for_void(money_first=void.money_first)
        return True

    def _wait_for_void(self, *, money_first: bool) -> None:
        undos = self._saga.undos
        if not workflow.patched("wait-for-voids"):
            undos.run_first(Shipping.confirm_void)
        elif money_first:
            undos.run_after_all(self.pending_void)
        else:
            undos.run_first(self.pending_void)
