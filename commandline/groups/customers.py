"""The command lines of `ordersaga customers`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, JsonOption, api_at, printer

customers = typer.Typer(help="Customers: the messages to them.", no_args_is_help=True)
Kinds = Annotated[list[str] | None, typer.Option(metavar="KIND", help="May be repeated, e.g. shipped.")]


@customers.callback()
def _customers() -> None:
    """A group, though it has one command."""


@customers.command("notifications")
def notifications(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer's id.")],
    on: Kinds = None,
    off: Kinds = None,
    locale: Annotated[
        str | None, typer.Option(metavar="LOCALE", help="Of messages, e.g. de; `shop` for the shop's own.")
    ] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Which messages a customer gets, in which language; with options: change it."""
    from commandline import customers as commands

    with api_at(api) as client:
        commands.notifications(client, printer(as_json), customer, on or [], off or [], locale)
