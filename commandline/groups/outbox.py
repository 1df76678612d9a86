"""The command lines of `ordersaga events` about what is published: replay, parked, unpark."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, ByOption, JsonOption, api_at, named, printer

outbox = typer.Typer()


@outbox.command("replay")
def replay(
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="Events since then, e.g. 2026-03-01T12:00Z.")],
    by: ByOption = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this; else now.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="Of this type, e.g. OrderPlaced.")] = None,
    subject: Annotated[str | None, typer.Option(help="Of this order or product.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish events again, for a broker that lost them; consumers pass over what they have."""
    from commandline import outbox as commands

    wanted = {"from": since, "to": until, "type": kind, "subject": subject} | named(by)
    with api_at(api) as client:
        commands.replay(client, printer(as_json), wanted)


@outbox.command("parked")
def list_parked(api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Events that the broker refused; what their subjects tell after them waits."""
    from commandline import outbox as commands

    with api_at(api) as client:
        commands.list_parked(client, printer(as_json))


@outbox.command("unpark")
def unpark(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="A parked event's id.")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a parked event sent again, and those behind it."""
    from commandline import outbox as commands

    with api_at(api) as client:
        commands.unpark(client, printer(as_json), event)
