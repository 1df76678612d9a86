"""The command lines of `ordersaga privacy`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, JsonOption, api_at, printer

privacy = typer.Typer(help="Personal data: find, export, erase, replay.", no_args_is_help=True)
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="A customer's id.")]


@privacy.command("find")
def find(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="However it is written.")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """The customers of an e-mail address."""
    from commandline import privacy as commands

    with api_at(api) as client:
        commands.find(client, printer(as_json), email)


@privacy.command("export")
def export(customer: Customer, api: ApiOption = None) -> None:
    """Everything that is held on a customer, as one JSON document."""
    from commandline import privacy as commands

    with api_at(api) as client:
        commands.export(client, customer)


@privacy.command("erase")
def erase(
    customer: Customer,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a customer for good; refused while orders are open or disputed."""
    from commandline import privacy as commands

    if not yes:
        typer.confirm(f"Erase {customer} for good?", abort=True, err=True)
    with api_at(api) as client:
        commands.erase(client, printer(as_json), customer)


@privacy.command("replay")
def replay(api: ApiOption = None, as_json: JsonOption = False) -> None:
    """After a restore: erase again everybody who has a tombstone."""
    from commandline import privacy as commands

    with api_at(api) as client:
        commands.replay(client, printer(as_json))
