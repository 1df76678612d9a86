"""The command lines of `ordersaga carts`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, Cursor, JsonOption, Limit, api_at, printer
from domain.carts import CartState

carts = typer.Typer(help="Carts: list, show, of a customer.", no_args_is_help=True)


@carts.command("list")
def list_carts(
    state: Annotated[CartState, typer.Option(help="Where in their life.")] = CartState.OPEN,
    customer: Annotated[str | None, typer.Option(metavar="CUSTOMER", help="Only this customer's.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Carts in a state, those touched last first."""
    from commandline import carts as commands

    with api_at(api) as client:
        commands.list_carts(client, printer(as_json), state.value, customer, limit, cursor)


@carts.command("show")
def show_cart(
    cart: Annotated[str, typer.Argument(metavar="CART", help="A cart's id.")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is in a cart, at today's prices."""
    from commandline import carts as commands

    with api_at(api) as client:
        commands.show_cart(client, printer(as_json), cart)


@carts.command("of")
def show_open_cart(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer's id.")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is in a customer's open cart."""
    from commandline import carts as commands

    with api_at(api) as client:
        commands.show_open_cart(client, printer(as_json), customer)
