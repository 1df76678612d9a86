"""What people see of an order in the Temporal Web UI: its status as a search attribute, its steps as a table."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import FulfillOrder
    from domain.order_states import OrderStatus
    from workflows.order.search_attributes import ORDER_STATUS


class Progress:
    """The status that the order has reached, and when it reached each."""

    def __init__(
        self, order: FulfillOrder, status: OrderStatus = OrderStatus.PLACED, what: str = "order placed"
    ) -> None:
        self.order = order
        self.status = status
        self._rows: list[str] = []
        self.tell(what)

    def reached(self, status: OrderStatus, why: str = "") -> None:
        """Moves on; the search attribute is a history event, so it is written only when the status changes."""
        if status is self.status:
            return
        self.status = status
        workflow.upsert_search_attributes([ORDER_STATUS.value_set(status.value)])
        self.tell(why)

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
