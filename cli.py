"""The `ordersaga` command for operators and developers: `./ordersaga --help`, or `python cli.py --help`.

It only reads the command line: the words of each noun are in `commandline/groups/`, what the commands do in
`commandline/`. Modules are imported by the commands that need them, so that `--help` and completion answer at once.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from commandline.failures import Failure, Misused
from commandline.groups.audit import audit
from commandline.groups.brake import brake
from commandline.groups.bulk_cancel import bulk_cancel
from commandline.groups.carts import carts
from commandline.groups.customers import customers
from commandline.groups.dead_letters import rebuild
from commandline.groups.events import events
from commandline.groups.identities import keys, token
from commandline.groups.inventory import inventory
from commandline.groups.orders import orders
from commandline.groups.privacy import privacy
from commandline.groups.promotions import promotions
from commandline.groups.rates import rates
from commandline.groups.refunds import give_refund
from commandline.groups.repairs import repairs
from commandline.groups.webhooks import webhooks
from commandline.options import ApiOption, JsonOption, ShipTo, printer

HELP = {"help_option_names": ["-h", "--help"]}
app = typer.Typer(
    help="Trace, place and repair orders of Order Saga.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP,
)
app.add_typer(orders, name="orders")
app.add_typer(repairs, name="repairs")
app.add_typer(brake, name="brake")
app.command("cancel")(bulk_cancel)
app.command("refund")(give_refund)
app.add_typer(inventory, name="inventory")
app.add_typer(customers, name="customers")
app.add_typer(carts, name="carts")
app.add_typer(promotions, name="promotions")
app.add_typer(rates, name="rates")
app.add_typer(keys, name="keys")
app.add_typer(audit, name="audit")
app.add_typer(privacy, name="privacy")
app.command("token")(token)
app.add_typer(events, name="events")
app.add_typer(webhooks, name="webhooks")
app.command("rebuild")(rebuild)


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
    ship_to: ShipTo = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a shop's order file through the API; again to go on where it stopped."""
    from commandline.addresses import read_address
    from commandline.imports.command import Options
    from commandline.imports.command import import_orders as replay
    from commandline.places import find_api

    options = Options(file, limit, concurrency, report, journal, patience, encoding, read_address(ship_to))
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
