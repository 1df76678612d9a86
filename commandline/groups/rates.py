"""The command lines of `ordersaga rates`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commandline.options import ApiOption, JsonOption, api_at, printer

rates = typer.Typer(help="What tax and shipping cost: import, list.", no_args_is_help=True)


@rates.command("import")
def import_rates(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Tax or shipping rates as CSV (docs/money.md).")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring in all rates of a file, or none."""
    from commandline import rates as commands

    with api_at(api) as client:
        commands.import_rates(client, printer(as_json), file)


@rates.command("list")
def list_rates(api: ApiOption = None, as_json: JsonOption = False) -> None:
    """All rates, with the days from which they hold."""
    from commandline import rates as commands

    with api_at(api) as client:
        commands.list_rates(client, printer(as_json))
