"""The command lines of `ordersaga audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, JsonOption, api_at, printer

audit = typer.Typer(help="What was done by whom: list, verify, export.", no_args_is_help=True)


@audit.command("list")
def list_entries(
    by: Annotated[str | None, typer.Option(metavar="WHO", help="Of one name.")] = None,
    about: Annotated[str | None, typer.Option(metavar="PATH", help="About one path, e.g. /api/repairs/7.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Entries, newest first."""
    from commandline import audit as commands

    with api_at(api) as client:
        commands.list_entries(client, printer(as_json), by, about, limit)


@audit.command("verify")
def verify(api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Check every entry against the hash chain; exits with 1 where one does not fit."""
    from commandline import audit as commands

    with api_at(api) as client:
        commands.verify(client, printer(as_json))


@audit.command("export")
def export(api: ApiOption = None) -> None:
    """Everything as JSON lines: entries, then seals."""
    from commandline import audit as commands

    with api_at(api) as client:
        commands.export(client)
