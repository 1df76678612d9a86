"""`ordersaga orders ship-now`: ends an order's wait before shipping, by a signal to its workflow."""

from __future__ import annotations

from datetime import timedelta

from rich.text import Text
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from adapters.temporal.client import workflow_id
from commandline.configuration import Configuration
from commandline.failures import Failure
from commandline.output import Printer
from domain.order_states import OrderStatus
from workflows.order.search_attributes import ORDER_STATUS

SIGNAL = "ship_now"  # by its name: to load the workflow for the typed one takes longer than all the rest
PATIENCE = timedelta(seconds=10)
WAITS = frozenset([OrderStatus.PLACED, OrderStatus.RESERVED, OrderStatus.AWAITING_CUSTOMER, OrderStatus.CONFIRMED])


async def ship_now(configuration: Configuration, out: Printer, order_id: str) -> None:
    """Raises Failure where Temporal is away, or the order has no workflow that could wait."""
    address = configuration.settings.temporal_address
    try:
        client = await configuration.connect()
        handle = client.get_workflow_handle(workflow_id(order_id))
        status = _status_of(await handle.describe(rpc_timeout=PATIENCE), order_id)
        await handle.signal(SIGNAL, rpc_timeout=PATIENCE)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise _unreachable(address, error) from None
        raise Failure("no_such_workflow", f"no workflow carries out an order {order_id}", orderId=order_id) from None
    except RuntimeError as error:
        raise _unreachable(address, error) from None
    document = {"orderId": order_id, "signal": SIGNAL, "status": status}
    out.show(document, lambda: [Text(f"Told: order {order_id} ({status}) ships as soon as it is confirmed.")])


def _status_of(found: WorkflowExecutionDescription, order_id: str) -> str:
    """Where the order is. Raises Failure for one that has no wait before it any more."""
    status = str(found.typed_search_attributes.get(ORDER_STATUS) or OrderStatus.PLACED)
    if found.status is not WorkflowExecutionStatus.RUNNING or status not in WAITS:
        raise Failure(
            "nothing_to_hurry",
            f"an order that is {status} does not wait to be shipped",
            orderId=order_id,
            orderStatus=status,
        )
    return status


def _unreachable(address: str, error: Exception) -> Failure:
    return Failure(
        "temporal_unreachable",
        f"Temporal at {address} cannot be reached ({type(error).__name__})",
        mend="start it (`make up`), or set TEMPORAL_ADDRESS; `ordersaga doctor` looks closer",
    )
