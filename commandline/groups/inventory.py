"""The command lines of `ordersaga inventory`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from commandline.options import ApiOption, Cursor, JsonOption, Limit, Product, api_at, printer


class ShowByDefault(TyperGroup):
    """`inventory`, `inventory 001` and `inventory --json` are `inventory show ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {*self.commands, *ctx.help_option_names}
        if not ctx.resilient_parsing and (not args or args[0] not in own):
            args = ["show", *args]
        return super().parse_args(ctx, args)


inventory = typer.Typer(help="Stock: show (also without the word), set, change.", cls=ShowByDefault)


@inventory.command("show")
def show_stock(
    product: Annotated[str | None, typer.Argument(metavar="[PRODUCT]", help="A product's id; none: all.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is on hand, reserved and available."""
    from commandline import inventory as commands

    with api_at(api) as client:
        if product is None:
            commands.list_stock(client, printer(as_json), limit, cursor)
        else:
            commands.show_stock(client, printer(as_json), product)


@inventory.command("set")
def set_stock(
    product: Product,
    level: Annotated[int, typer.Argument(metavar="LEVEL", min=0, help="Pieces on hand from now on.")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set what is on hand; never below what orders hold."""
    from commandline import inventory as commands

    with api_at(api) as client:
        commands.change_stock(client, printer(as_json), product, {"onHand": level})


# A difference below zero must not be taken for an option.
@inventory.command("change", context_settings={"ignore_unknown_options": True})
def change_stock(
    product: Product,
    difference: Annotated[int, typer.Argument(metavar="DIFFERENCE", help="Like 12 or -5.")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what is on hand by a difference."""
    from commandline import inventory as commands

    with api_at(api) as client:
        commands.change_stock(client, printer(as_json), product, {"quantityChange": difference})
