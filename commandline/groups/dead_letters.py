"""The command lines of `ordersaga events` for consumers: dead, retry, skip, reset; and of `ordersaga rebuild`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from commandline.options import JsonOption, printer

consuming = typer.Typer()

Consumer = Annotated[str | None, typer.Option(help="Only of this consumer.")]
By = Annotated[str, typer.Option(help="Who decides.")]
LetterId = Annotated[int | None, typer.Argument(metavar="DEAD-LETTER", help="Its number.", show_default=False)]


@consuming.command("dead")
def list_dead(
    consumer: Consumer = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Also those that were retried or skipped.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Events that a consumer could not apply, newest first, with the reason."""
    from commandline import consumers as commands

    asyncio.run(commands.list_dead(printer(as_json), consumer, resolved=resolved, most=limit))


@consuming.command("retry")
def retry(
    by: By,
    letter: LetterId = None,
    consumer: Consumer = None,
    everything: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Have the running consumer try dead letters again: one, those of a consumer, or all."""
    from commandline import consumers as commands

    asyncio.run(commands.retry(printer(as_json), by, letter, consumer, everything=everything))


@consuming.command("skip")
def skip(
    by: By,
    letter: Annotated[int, typer.Argument(metavar="DEAD-LETTER", help="Its number.")],
    as_json: JsonOption = False,
) -> None:
    """Give an event up for good; what waited behind it goes on."""
    from commandline import consumers as commands

    asyncio.run(commands.skip(printer(as_json), by, letter))


@consuming.command("reset")
def reset(
    consumer: Annotated[str, typer.Argument(metavar="CONSUMER", help="Its name.")],
    to: Annotated[str, typer.Option(help="`first`, a time like 2026-11-20T00:00Z, or a position.")],
    partition: Annotated[int | None, typer.Option(min=0, help="Of the position.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Have a consumer apply events again: since a time from the archive, or after a position of the stream."""
    from commandline import consumers as commands

    asyncio.run(commands.reset(printer(as_json), consumer, to, partition))


def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Only compare; the one thing it does.")] = False,
    consumer: Consumer = None,
    as_json: JsonOption = False,
) -> None:
    """Make what consumers keep again from the archive, beside the real tables, and tell every difference."""
    from commandline import consumers as commands

    raise typer.Exit(asyncio.run(commands.rebuild(printer(as_json), consumer, check=check)))
