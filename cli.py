"""The `ordersaga` command for operators and developers: `./ordersaga --help`, or `python cli.py --help`.

It only reads the command line; what the commands do is in `commandline/`. Modules are imported by the commands that
need them, so that `--help` and completion answer at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from commandline.failures import Failure, Misused
from commandline.operations import brake, bulk_cancel, repairs
from commandline.options import ApiOption, Cursor, JsonOption, Limit, OrderId, Product, api_at, printer
from domain.order_states import OrderStatus

HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    help="Trace, place and repair orders of Order Saga.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
orders = typer.Typer(help="Orders: list, show, watch, place, cancel, ship-now.", no_args_is_help=True)
app.add_typer(orders, name="orders")
app.add_typer(repairs, name="repairs")
app.add_typer(brake, name="brake")
app.command("cancel")(bulk_cancel)


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

    with api_at(api) as client:
        watching.watch_order(client, printer(as_json), order, timeout)


@orders.command("place")
def place_order(
    customer: Annotated[str, typer.Option(help="The customer's id.")],
    item: Annotated[list[str], typer.Option(metavar="PRODUCT=QTY", help="A line; again for more.")],
    payment_method: Annotated[str, typer.Option(help="A kind, or a Stripe id (pm_...).")] = "credit_card",
    ship_not_before: Annotated[str | None, typer.Option(metavar="TIME", help="At most 5 days ahead.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(metavar="KEY", help="Makes a repeat safe.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place an order and wait for its answer."""
    from commandline import orders as commands

    wanted = {
        "customerId": customer,
        "items": commands.read_items(item),
        "paymentMethod": payment_method,
        "shipNotBefore": commands.read_time("--ship-not-before", ship_not_before),
    }
    with api_at(api) as client:
        commands.place_order(client, printer(as_json), wanted, idempotency_key)


@orders.command("cancel")
def cancel_order(
    order: OrderId,
    reason: Annotated[str | None, typer.Option(help="For the timeline.")] = None,
    by: Annotated[str, typer.Option(help="Who wants it.")] = "operations",
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel an order: tells the decision, not the end of the undo."""
    from commandline import orders as commands

    with api_at(api) as client:
        commands.cancel_order(client, printer(as_json), order, reason, by)


@orders.command("ship-now")
def ship_now(
    order: OrderId,
    temporal: Annotated[
        str | None, typer.Option("--temporal", metavar="HOST:PORT", help="Where Temporal is.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """End an order's wait before shipping, by a signal to its workflow."""
    from commandline.configuration import usable_configuration
    from commandline.shipping_signal import ship_now as send

    asyncio.run(send(usable_configuration(temporal), printer(as_json), order))


@app.command("refund")
def give_refund(
    order: OrderId,
    amount: Annotated[str, typer.Option(metavar="AMOUNT", help="In the order's currency, like 5.00.")],
    reason: Annotated[str, typer.Option(help="For the timeline.")],
    by: Annotated[str, typer.Option(help="Who gives it.")],
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Names the refund: makes a repeat safe.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a part of an order's money back, never above what was captured."""
    from commandline import refunds as commands

    with api_at(api) as client:
        wanted = {"amount": amount, "reason": reason, "by": by}
        commands.give_refund(client, printer(as_json), order, wanted, key)


class ShowByDefault(TyperGroup):
    """`inventory`, `inventory 001` and `inventory --json` are `inventory show ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = {*self.commands, *ctx.help_option_names}
        if not ctx.resilient_parsing and (not args or args[0] not in own):
            args = ["show", *args]
        return super().parse_args(ctx, args)


inventory = typer.Typer(help="Stock: show (also without the word), set, change.", cls=ShowByDefault)
app.add_typer(inventory, name="inventory")


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


@app.command("doctor")
def doctor(api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Check everything that the service needs, each with the mend."""
    from commandline.doctor.command import doctor as examine
    from commandline.places import find_api

    raise typer.Exit(asyncio.run(examine(find_api(api), printer(as_json))))


@app.command("import-orders")
def import_orders(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file of invoice lines (docs/cli.md).")],
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N invoices.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Requests at a time.")] = 8,
    report: Annotated[Path, typer.Option(help="Where what became of every line is written.")] = Path(
        "import-report.json"
    ),
    journal: Annotated[
        Path | None, typer.Option(help="What is done already.", show_default="next to the report")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Without an answer or a settled order: give up.")
    ] = 120,
    encoding: Annotated[str, typer.Option(help="Of the file.")] = "utf-8",
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a shop's order file through the API; again to go on where it stopped."""
    from commandline.imports.command import Options
    from commandline.imports.command import import_orders as replay
    from commandline.places import find_api

    options = Options(file, limit, concurrency, report, journal, patience, encoding)
    raise typer.Exit(asyncio.run(replay(find_api(api), printer(as_json), options)))


def main() -> int:
    """Runs the command line to its exit code."""
    as_json = "--json" in sys.argv[1:]
    try:
        # Typer tells a wrong call itself, unless it has to be told as JSON.
        code = app(prog_name="ordersaga", standalone_mode=not as_json)
        return code if isinstance(code, int) else 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except typer.TyperException as error:
        failure: Failure = Misused(error.format_message())
    except Failure as failed:
        failure = failed
    from commandline.output import tell_failure

    tell_failure(failure, as_json)
    return failure.exit_code


if __name__ == "__main__":
    exit_code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:  # whoever read has gone
            exit_code = exit_code or 1
    # The Temporal client's threads may abort the interpreter's own way out (temporalio/sdk-python#300).
    os._exit(exit_code)
