"""The command line of `ordersaga refund`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, ByOption, JsonOption, OrderId, api_at, printer


def give_refund(
    order: OrderId,
    reason: Annotated[str, typer.Option(help="For the timeline.")],
    by: ByOption = None,
    amount: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="In the order's currency, like 5.00; or name --item.")
    ] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(metavar="PRODUCT=PIECES", help="Pieces that came back: gives back what was paid for them."),
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Names the refund: makes a repeat safe.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a part of an order's money back, never above what was captured."""
    from commandline import refunds as commands

    with api_at(api) as client:
        wanted = commands.wanted(amount, item or [], reason, by)
        commands.give_refund(client, printer(as_json), order, wanted, key)
