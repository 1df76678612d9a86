"""The file of routes (`ORDERSAGA_EVENT_ROUTES`): which events reach which consumer.

[[consumers.notifications]]
types = ["OrderPlaced", "OrderShipped"]

[[consumers.fraud]]
types = ["OrderPlaced"]
data.currency = "USD"
data.totalAmount = { numeric = [[">=", 1000]] }

A consumer of several rules gets what any of them lets pass; `consumers.NAME = []` gets nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError

from domain.routing import Routes


class RoutesRefused(ValueError):
    """The file cannot be read, or says what makes no sense; the message names the place."""


def read_routes(file: Path | None) -> Routes:
    """Without a file every consumer has its own rules. Raises RoutesRefused."""
    if file is None:
        return Routes()
    try:
        return Routes.model_validate(tomllib.loads(file.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RoutesRefused(f"{file}: {error}") from None
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise RoutesRefused(f"{file}: {said}") from None
