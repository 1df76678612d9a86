"""The command lines of `ordersaga webhooks`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from commandline.options import ApiOption, Cursor, JsonOption, Limit, api_at, printer

webhooks = typer.Typer(help="Webhooks to merchants: endpoints, secrets, deliveries.", no_args_is_help=True)

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="An endpoint's id.")]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="A delivery's number.")]
Events = Annotated[list[str] | None, typer.Option("--event", help="Only such events, e.g. OrderShipped; repeatable.")]


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@webhooks.command("list")
def list_endpoints(api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Endpoints and how they stand."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        commands.list_endpoints(client, printer(as_json))


@webhooks.command("show")
def show_endpoint(endpoint: EndpointId, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """One endpoint."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        commands.show_endpoint(client, printer(as_json), endpoint)


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent to.")],
    event: Events = None,
    description: Annotated[str, typer.Option(help="For operators.")] = "",
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register an endpoint; its secret is shown only now."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        commands.add(client, printer(as_json), {"url": url, "events": event or ["*"], "description": description})


@webhooks.command("change")
def change(
    endpoint: EndpointId,
    url: Annotated[str | None, typer.Option(help="Another address.")] = None,
    event: Events = None,
    description: Annotated[str | None, typer.Option(help="For operators.")] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Another address, other events."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        wanted = {"url": url, "events": event or None, "description": description}
        commands.change(client, printer(as_json), endpoint, wanted)


@webhooks.command("enable")
def enable(endpoint: EndpointId, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Send again, beginning with what has waited; earlier failures are forgotten."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        commands.change(client, printer(as_json), endpoint, {"state": "active"})


@webhooks.command("disable")
def disable(endpoint: EndpointId, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Send nothing until it is enabled: events wait, as long as the log is kept."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        commands.change(client, printer(as_json), endpoint, {"state": "disabled"})


@webhooks.command("delete")
def delete(endpoint: EndpointId, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Delete an endpoint and its secrets."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        commands.delete(client, printer(as_json), endpoint)


@webhooks.command("rotate")
def rotate(
    endpoint: EndpointId,
    overlap: Annotated[
        int | None,
        typer.Option(min=0, metavar="SECONDS", help="For so long the old secret signs, too."),
    ] = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """A new secret, shown only now."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        commands.rotate(client, printer(as_json), endpoint, overlap)


@webhooks.command("test")
def send_test(
    endpoint: EndpointId,
    patience: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="For the outcome.")] = 30,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one test and tell what came of it; 1 where it was not delivered."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        raise typer.Exit(commands.send_test(client, printer(as_json), endpoint, patience))


@webhooks.command("deliveries")
def list_deliveries(
    endpoint: EndpointId,
    state: Annotated[DeliveryState | None, typer.Option(help="Only those.")] = None,
    event: Annotated[str | None, typer.Option(help="Only of this event, e.g. OrderPlaced.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only of this order or product.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was delivered, or not, newest first."""
    from commandline import webhooks as commands

    filters = {"state": state.value if state else None, "event": event, "subject": subject}
    with api_at(api) as client:
        commands.list_deliveries(client, printer(as_json), endpoint, {**filters, "limit": limit, "cursor": cursor})


@webhooks.command("delivery")
def show_delivery(
    endpoint: EndpointId, delivery: DeliveryId, api: ApiOption = None, as_json: JsonOption = False
) -> None:
    """One delivery with every try."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        commands.show_delivery(client, printer(as_json), endpoint, delivery)


@webhooks.command("redeliver")
def redeliver(
    endpoint: EndpointId,
    delivery: Annotated[str | None, typer.Argument(metavar="[DELIVERY]", help="Its number.")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="All noted since then.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this; else now.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="Also what was delivered.")] = False,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send again: one delivery, or those of a time that were given up."""
    from commandline import webhooks as commands

    with api_at(api) as client:
        wanted = {"from": since, "to": until, "everything": everything}
        commands.redeliver(client, printer(as_json), endpoint, delivery, wanted)
