"""The command lines of `ordersaga repairs`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from commandline.options import ApiOption, ByOption, Cursor, JsonOption, Limit, api_at, named, printer
from domain.repairs import RepairDecision

repairs = typer.Typer(help="Tickets that need a person: list, show, resolve.", no_args_is_help=True)

TicketId = Annotated[str, typer.Argument(metavar="TICKET", help="A ticket's number.")]


class Which(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


@repairs.command("list")
def list_tickets(
    status: Annotated[Which, typer.Option(help="Which.")] = Which.OPEN,
    kind: Annotated[str | None, typer.Option(help="Of this kind, e.g. late_money.")] = None,
    order: Annotated[str | None, typer.Option(help="Of this order.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tickets, newest first."""
    from commandline import repairs as commands

    filters = {"status": status.value, "kind": kind, "orderId": order, "limit": limit, "cursor": cursor}
    with api_at(api) as client:
        commands.list_tickets(client, printer(as_json), filters)


@repairs.command("show")
def show_ticket(ticket: TicketId, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """One ticket: its order, its last error, what can be done, who did what."""
    from commandline import repairs as commands

    with api_at(api) as client:
        commands.show_ticket(client, printer(as_json), ticket)


@repairs.command("resolve")
def resolve(
    ticket: TicketId,
    decision: Annotated[RepairDecision, typer.Argument(help="What is to be done.")],
    by: ByOption = None,
    note: Annotated[str, typer.Option(help="Why; for the audit trail.")] = "",
    evidence: Annotated[str, typer.Option(help="How it can be seen that it was done: for mark_done.")] = "",
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try again now, say that it was done by other means, or take the loss."""
    from commandline import repairs as commands

    wanted = {"decision": decision.value, "note": note, "evidence": evidence} | named(by)
    with api_at(api) as client:
        commands.resolve(client, printer(as_json), ticket, wanted)
