"""The command lines of `ordersaga repairs` and `ordersaga cancel`."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from commandline.failures import Misused
from commandline.options import ApiOption, Cursor, JsonOption, Limit, api_at, printer
from domain.order_states import OrderStatus
from domain.repairs import RepairDecision

repairs = typer.Typer(help="Tickets that need a person: list, show, resolve.", no_args_is_help=True)

TicketId = Annotated[str, typer.Argument(metavar="TICKET", help="A ticket's number.")]


class Shown(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


@repairs.command("list")
def list_tickets(
    status: Annotated[Shown, typer.Option(help="Which.")] = Shown.OPEN,
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
    by: Annotated[str, typer.Option(help="Who decides.")],
    note: Annotated[str, typer.Option(help="Why; for the audit trail.")] = "",
    evidence: Annotated[str, typer.Option(help="How it can be seen that it was done: for mark_done.")] = "",
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try again now, say that it was done by other means, or take the loss."""
    from commandline import repairs as commands

    wanted = {"decision": decision.value, "by": by, "note": note, "evidence": evidence}
    with api_at(api) as client:
        commands.resolve(client, printer(as_json), ticket, wanted)


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
    by: Annotated[str, typer.Option(help="Who releases it.")],
    note: Annotated[str, typer.Option(help="What was mended.")],
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let the orders that it holds try again; those that fail again by our fault are counted anew."""
    from commandline import brake as commands

    with api_at(api) as client:
        commands.release_brake(client, printer(as_json), {"by": by, "note": note})


def bulk_cancel(
    query: Annotated[str | None, typer.Option(metavar="QUERY", help="A Temporal visibility query.")] = None,
    product: Annotated[str | None, typer.Option(help="Orders with this product.")] = None,
    customer: Annotated[str | None, typer.Option(help="Orders of this customer.")] = None,
    status: Annotated[OrderStatus | None, typer.Option(case_sensitive=False, help="Orders in this state.")] = None,
    execute: Annotated[bool, typer.Option("--execute", "--yes", help="Do it, not only tell.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=100, help="Orders a second.")] = 5,
    reason: Annotated[str, typer.Option(help="For the timelines.")] = "canceled in bulk",
    by: Annotated[str, typer.Option(help="Who wants it.")] = "operations",
    temporal: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where Temporal is, for --query.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel many orders: a dry run, unless --execute; safe to run again. One order: `orders cancel`."""
    from commandline import bulk_cancel as commands

    filters = {"productId": product, "customerId": customer, "status": status.value if status else None}
    if not query and not any(filters.values()):
        raise Misused("name the orders: --query, --product, --customer or --status")
    if query and any(filters.values()):
        raise Misused("--query stands alone: it can name the status and the customer, too")
    wish = commands.Wish(reason, by, execute, rate)
    with api_at(api) as client:
        orders = commands.listed(client, filters)
        if query:
            from commandline.configuration import usable_configuration

            ids = asyncio.run(commands.asked_of_temporal(usable_configuration(temporal), query))
            orders = commands.found(client, ids)
        raise typer.Exit(commands.cancel_all(client, printer(as_json), orders, wish))
