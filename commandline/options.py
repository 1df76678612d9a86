"""Parameters that several commands share, and what they are turned into. Imports little: `--help` answers at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from commandline.api_client import Api

ApiOption = Annotated[
    str | None,
    typer.Option("--api", metavar="URL", help="Where the API is.", show_default="$ORDERSAGA_API_URL, or `make up`'s"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
ByOption = Annotated[
    str | None, typer.Option("--by", metavar="WHO", help="Who you are, as your token says; may be left out.")
]
Limit = Annotated[int, typer.Option(min=1, max=100, help="How many.")]
Cursor = Annotated[str | None, typer.Option(help="Where the last page ended.")]


def complete_order(incomplete: str) -> list[str]:
    """The latest orders whose id begins so; none where the API is away, since a shell waits."""
    from commandline.completion import latest_orders

    return latest_orders(incomplete)


OrderId = Annotated[str, typer.Argument(metavar="ORDER", help="An order's id.", autocompletion=complete_order)]
ShipTo = Annotated[
    list[str] | None,
    typer.Option(
        "--ship-to",
        metavar="FIELD=VALUE",
        help="The address: street1, city, zip, country (two letters), and more (docs/cli.md); again for each field.",
    ),
]
Product = Annotated[str, typer.Argument(metavar="PRODUCT", help="A product's id.")]


def named(by: str | None) -> dict[str, str]:
    """The field of a body that says who asks; left out it is who the token says."""
    return {} if by is None else {"by": by}


@contextmanager
def api_at(given: str | None) -> Iterator[Api]:
    from commandline.api_client import Api
    from commandline.places import find_api

    with Api(find_api(given)) as api:
        yield api


def printer(as_json: bool) -> Any:
    from commandline.output import Printer

    return Printer(as_json)
