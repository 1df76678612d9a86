"""The command line of `ordersaga cancel`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from commandline.failures import Misused
from commandline.options import ApiOption, ByOption, JsonOption, api_at, printer
from domain.order_states import OrderStatus


def bulk_cancel(
    query: Annotated[str | None, typer.Option(metavar="QUERY", help="A Temporal visibility query.")] = None,
    product: Annotated[str | None, typer.Option(help="Orders with this product.")] = None,
    customer: Annotated[str | None, typer.Option(help="Orders of this customer.")] = None,
    status: Annotated[OrderStatus | None, typer.Option(case_sensitive=False, help="Orders in this state.")] = None,
    execute: Annotated[bool, typer.Option("--execute", "--yes", help="Do it, not only tell.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=100, help="Orders a second.")] = 5,
    reason: Annotated[str, typer.Option(help="For the timelines.")] = "canceled in bulk",
    by: ByOption = None,
    temporal: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where Temporal is, for --query.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel many orders: a dry run, unless --execute; safe to run again. One order: `orders cancel`."""
    from commandline import bulk_cancel as commands

    filters = {"productId": product, "customerId": customer, "status": status.value if status else None}
    if not query and not any(filters.values()):
        raise Misused("name the orders: --query, --product, --customer or --status")
    if query and any(filters.values()):
        raise Misused("--query stands alone: it can name the status and the customer, too")
    wish = commands.CancelOptions(reason, by, execute, rate)
    with api_at(api) as client:
        orders = commands.listed(client, filters)
        if query:
            from commandline.configuration import usable_configuration

            ids = asyncio.run(commands.asked_of_temporal(usable_configuration(temporal), query))
            orders = commands.found(client, ids)
        raise typer.Exit(commands.cancel_all(client, printer(as_json), orders, wish))
