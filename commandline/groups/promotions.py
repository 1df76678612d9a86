"""The command lines of `ordersaga promotions`."""

from __future__ import annotations

from typing import Annotated

import typer

from commandline.options import ApiOption, ByOption, Cursor, JsonOption, Limit, api_at, named, printer

promotions = typer.Typer(help="Promotions and coupons: list, add, change, history.", no_args_is_help=True)
coupons = typer.Typer(help="Codes for promotions: list, add, change.", no_args_is_help=True)
promotions.add_typer(coupons, name="coupons")

PromotionId = Annotated[str, typer.Argument(metavar="PROMOTION", help="A promotion's id.")]
Code = Annotated[str, typer.Argument(metavar="CODE", help="A coupon's code, in any case.")]
Value = Annotated[str | None, typer.Option(help="In percent, or in the currency, like 10 or 5.00.")]
Moment = Annotated[str | None, typer.Option(metavar="TIME", help="Like 2026-01-31T09:00:00Z.")]
Active = Annotated[bool | None, typer.Option("--on/--off", help="Switch it on or off.")]
UsageLimit = Annotated[int | None, typer.Option(min=1, help="Orders in all.")]
PerCustomer = Annotated[int | None, typer.Option(min=1, help="Orders of one customer.")]


@promotions.command("list")
def list_promotions(
    limit: Limit = 50, cursor: Cursor = None, api: ApiOption = None, as_json: JsonOption = False
) -> None:
    """All promotions by their ids."""
    from commandline import promotions as commands

    with api_at(api) as client:
        commands.list_promotions(client, printer(as_json), limit, cursor)


@promotions.command("add")
def add_promotion(
    promotion: PromotionId,
    name: Annotated[str, typer.Option(help="What customers read.")],
    kind: Annotated[str, typer.Option(help="percent, fixed, buy_x_get_y or free_shipping.")],
    by: ByOption = None,
    value: Value = None,
    buy: Annotated[int | None, typer.Option(min=1, help="Of buy_x_get_y: pieces to be paid.")] = None,
    get: Annotated[int | None, typer.Option(min=1, help="Of buy_x_get_y: pieces that are free with them.")] = None,
    product: Annotated[list[str] | None, typer.Option(help="A product in its scope; none: the order.")] = None,
    min_subtotal: Annotated[str | None, typer.Option(help="Of the lines in its scope.")] = None,
    currency: Annotated[str, typer.Option(help="Of value and minimum.")] = "USD",
    starts: Moment = None,
    ends: Moment = None,
    automatic: Annotated[bool, typer.Option("--automatic", help="For every order, without a coupon.")] = False,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a promotion; the same again changes nothing."""
    from commandline import promotions as commands

    wanted = {
        "promotionId": promotion,
        "name": name,
        "kind": kind,
        "value": value,
        "buy": buy,
        "get": get,
        "scope": "products" if product else None,
        "productIds": product,
        "minSubtotal": min_subtotal,
        "currency": currency,
        "starts": starts,
        "ends": ends,
        "automatic": automatic,
    } | named(by)
    with api_at(api) as client:
        commands.add_promotion(client, printer(as_json), wanted)


@promotions.command("change")
def change_promotion(
    promotion: PromotionId,
    by: ByOption = None,
    name: Annotated[str | None, typer.Option(help="What customers read.")] = None,
    value: Value = None,
    ends: Moment = None,
    active: Active = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a promotion; orders that were placed keep their prices."""
    from commandline import promotions as commands

    changes = {"name": name, "value": value, "ends": ends, "active": active} | named(by)
    with api_at(api) as client:
        commands.change_promotion(client, printer(as_json), promotion, changes)


@promotions.command("history")
def show_history(promotion: PromotionId, api: ApiOption = None, as_json: JsonOption = False) -> None:
    """Who has set what, of a promotion and its coupons."""
    from commandline import promotions as commands

    with api_at(api) as client:
        commands.show_history(client, printer(as_json), promotion)


@coupons.command("list")
def list_coupons(
    limit: Limit = 50, cursor: Cursor = None, api: ApiOption = None, as_json: JsonOption = False
) -> None:
    """All coupons by their codes, with how often they were used."""
    from commandline import promotions as commands

    with api_at(api) as client:
        commands.list_coupons(client, printer(as_json), limit, cursor)


@coupons.command("add")
def add_coupon(
    code: Code,
    promotion: PromotionId,
    by: ByOption = None,
    usage_limit: UsageLimit = None,
    per_customer: PerCustomer = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a code for a promotion; the same again changes nothing."""
    from commandline import promotions as commands

    limits = {"usageLimit": usage_limit, "perCustomer": per_customer}
    with api_at(api) as client:
        commands.add_coupon(client, printer(as_json), {"code": code, "promotionId": promotion} | named(by) | limits)


@coupons.command("change")
def change_coupon(
    code: Code,
    by: ByOption = None,
    usage_limit: UsageLimit = None,
    per_customer: PerCustomer = None,
    active: Active = None,
    api: ApiOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a coupon's limits, or switch it on or off."""
    from commandline import promotions as commands

    changes = {"usageLimit": usage_limit, "perCustomer": per_customer, "active": active} | named(by)
    with api_at(api) as client:
        commands.change_coupon(client, printer(as_json), code, changes)
