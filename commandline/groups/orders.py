"""The command lines of `ordersaga orders`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, ByOption, Cursor, JsonOption, Limit, OrderId, ShipTo, api_at, printer
from domain.order_states import OrderStatus

orders = typer.Typer(help="Orders: list, show, watch, place, cancel, ship-now.", no_args_is_help=True)


@orders.command("list")
def list_orders(
    status: Annotated[OrderStatus | None, typer.Option(case_sensitive=False, help="In this state.")] = None,
    customer: Annotated[str | None, typer.Option(help="Of this customer.")] = None,
    product: Annotated[str | None, typer.Option(help="With this product.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Placed at or after; UTC.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Placed before.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Orders, newest first."""
    from commandline import orders as commands

    filters = {
        "status": status.value if status else None,
        "customerId": customer,
        "productId": product,
        "from": commands.read_time("--from", since),
        "to": commands.read_time("--to", until),
        "limit": limit,
        "cursor": cursor,
    }
    with api_at(api) as client:
        commands.list_orders(client, printer(as_json), filters)


@orders.command("show")
def show_order(order: OrderId, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """One order with its lines and its timeline."""
    from commandline import orders as commands

    with api_at(api) as client:
        commands.show_order(client, printer(as_json), order)


@orders.command("watch")
def watch_order(
    order: OrderId,
    timeout: Annotated[float | None, typer.Option(min=0, help="Give up after so many seconds.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """An order's timeline as it happens, until the order has ended."""
    from commandline import watching
    from commandline.places import find_api

    watching.watch_order(find_api(api), printer(as_json), order, timeout)


@orders.command("place")
def place_order(
    customer: Annotated[str, typer.Option(help="The customer's id.")],
    item: Annotated[list[str], typer.Option(metavar="PRODUCT=QTY", help="A line; again for more.")],
    payment_method: Annotated[str, typer.Option(help="A kind, or a Stripe id (pm_...).")] = "credit_card",
    ship_not_before: Annotated[str | None, typer.Option(metavar="TIME", help="At most 5 days ahead.")] = None,
    coupon: Annotated[list[str] | None, typer.Option(metavar="CODE", help="A coupon; again for more.")] = None,
    ship_to: ShipTo = None,
    shipping_option: Annotated[str | None, typer.Option(help="Of the shop's rates; else the cheapest.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(metavar="KEY", help="Makes a repeat safe.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place an order and wait for its answer."""
    from commandline import orders as commands
    from commandline.addresses import read_address

    wanted = {
        "customerId": customer,
        "items": commands.read_items(item),
        "paymentMethod": payment_method,
        "shipNotBefore": commands.read_time("--ship-not-before", ship_not_before),
        "couponCodes": coupon or [],
        "shippingAddress": read_address(ship_to),
        "shippingOption": shipping_option,
    }
    with api_at(api) as client:
        commands.place_order(client, printer(as_json), wanted, idempotency_key)


@orders.command("cancel")
def cancel_order(
    order: OrderId,
    reason: Annotated[str | None, typer.Option(help="For the timeline.")] = None,
    by: ByOption = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel an order: tells the decision, not the end of the undo."""
    from commandline import orders as commands

    with api_at(api) as client:
        commands.cancel_order(client, printer(as_json), order, reason, by)


@orders.command("ship-now")
def ship_now(order: OrderId, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """End an order's wait before shipping."""
    from commandline import orders as commands

    with api_at(api) as client:
        commands.ship_now(client, printer(as_json), order)
