"""The command line of `ordersaga refund`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, ByOption, JsonOption, OrderId, api_at, named, printer


def give_refund(
    order: OrderId,
    amount: Annotated[str, typer.Option(metavar="AMOUNT", help="In the order's currency, like 5.00.")],
    reason: Annotated[str, typer.Option(help="For the timeline.")],
    by: ByOption = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Names the refund: makes a repeat safe.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a part of an order's money back, never above what was captured."""
    from commandline import refunds as commands

    with api_at(api) as client:
        wanted = {"amount": amount, "reason": reason} | named(by)
        commands.give_refund(client, printer(as_json), order, wanted, key)
