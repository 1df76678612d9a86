"""The command lines of `ordersaga token` and `ordersaga keys`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.failures import Misused
from commandline.options import ApiOption, JsonOption, api_at, printer
from domain.identities import Role

keys = typer.Typer(help="API keys of programs: create, list, revoke.", no_args_is_help=True)


def token(
    role: Annotated[list[Role], typer.Option(help="Of whom; again for more.")],
    customer: Annotated[str | None, typer.Option(help="The customer that it is: for --role customer.")] = None,
    subject: Annotated[str | None, typer.Option(help="What they are called; for the timelines.")] = None,
) -> None:
    """Print a token of the development stack, good for an hour."""
    from commandline.tokens import print_token

    if Role.CUSTOMER in role and customer is None:
        raise Misused("--role customer needs --customer: whose orders are their own")
    print_token(role, customer, subject)


@keys.command("create")
def create_key(
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="Whose program it is, e.g. web-shop.")],
    scope: Annotated[list[Role], typer.Option(help="shop or supplier; again for both.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How long it counts.")] = 90,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key; it is shown this once. An owner has two at a time."""
    from commandline import keys as commands

    with api_at(api) as client:
        commands.create_key(client, printer(as_json), {"owner": owner, "scopes": scope, "days": days})


@keys.command("list")
def list_keys(api: ApiOption = None, as_json: JsonOption = False) -> None:
    """All keys, newest first, without their secrets."""
    from commandline import keys as commands

    with api_at(api) as client:
        commands.list_keys(client, printer(as_json))


@keys.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The part between the underscores.")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a key at once: in ten seconds no API process takes it."""
    from commandline import keys as commands

    with api_at(api) as client:
        commands.revoke_key(client, printer(as_json), key_id)
