"""What people see of an order in the Temporal Web UI: its status as a search attribute, its steps as a table."""

from __future__ import annotations

from collections.abc import Callable

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import FulfillOrder
    from domain.order_states import OrderStatus
    from workflows.order.search_attributes import ORDER_STATUS


class Progress:
    """The status that the order has reached, and when it reached each.

    The search attribute is a history event each time. A `lean` order writes only what lasts: its owner runs
    `write_what_lasts` beside it, and calls `write` at its end.
    """

    def __init__(
        self,
        order: FulfillOrder,
        status: OrderStatus = OrderStatus.PLACED,
        what: str = "order placed",
        *,
        lean: bool = False,
    ) -> None:
        self.order = order
        self.status = self._written = status
        self._lean = lean
        self._rows: list[str] = []
        self.tell(what)

    def reached(self, status: OrderStatus, why: str = "") -> None:
        """Moves on to `status`; `why` tells it in the table."""
        if status is self.status:
            return
        self.status = status
        if not self._lean:
            self.write()
        self.tell(why)

    def write(self) -> None:
        """Writes the status where lists and searches see it, unless it is there."""
        if self.status is not self._written:
            self._written = self.status
            workflow.upsert_search_attributes([ORDER_STATUS.value_set(self.status.value)])

    async def write_what_lasts(self, moves_on: Callable[[], bool]) -> None:
        """Never returns. Writes the status whenever the order waits, but not while it `moves_on` to the next one."""
        while True:
            await workflow.wait_condition(lambda: self.status is not self._written and not moves_on())
            self.write()

    def tell(self, what: str) -> None:
        """Adds a row to the table without a change of status."""
        # The Web UI shows tables without any padding; code spans bring their own.
        self._rows.append(f"| `{_time()}` | `{self.status}` | {_cell(what)} |")
        head = f"**{self.status}** · order `{self.order.order_id}` · {self.order.total}\n\n"
        workflow.set_current_details(head + "\n".join(["| at | status | what |", "|---|---|---|", *self._rows]))


def _time() -> str:
    return workflow.now().strftime("%Y-%m-%d %H:%M:%S")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
