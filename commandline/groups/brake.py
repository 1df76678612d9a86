"""The command lines of `ordersaga brake`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, ByOption, JsonOption, api_at, named, printer

brake = typer.Typer(help="The brake: show (also without the word), release.", invoke_without_command=True)


@brake.callback()
def show_by_default(context: typer.Context, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """The brake holds orders that would end by a fault of ours, when these are too many."""
    if context.invoked_subcommand is None:
        show_brake(api, as_json)


@brake.command("show")
def show_brake(api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Whether it is on, why, and how many orders it holds."""
    from commandline import brake as commands

    with api_at(api) as client:
        commands.show_brake(client, printer(as_json))


@brake.command("release")
def release_brake(
    note: Annotated[str, typer.Option(help="What was mended.")],
    by: ByOption = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the orders that it holds try again; those that fail again by our fault are counted anew."""
    from commandline import brake as commands

    with api_at(api) as client:
        commands.release_brake(client, printer(as_json), {"note": note} | named(by))
