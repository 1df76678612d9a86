"""The command lines of `ordersaga events`."""

from __future__ import annotations

import typer

from commandline.groups.dead_letters import consuming
from commandline.groups.outbox import outbox

events = typer.Typer(help="Events for other services, and their consumers.", no_args_is_help=True)
events.add_typer(outbox)
events.add_typer(consuming)
