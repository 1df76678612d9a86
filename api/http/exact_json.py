"""JSON bodies read without loss: numbers with a fraction become Decimal, so that no price is ever a float.

What two readers could read differently is refused: other encodings than UTF-8, and a name that an object has twice.
So is a body of more values than any request needs: each of them costs a check, and an error to be told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

MOST_VALUES = 1600  # of one body: the largest order has 1,550
MOST_NAMES = 100  # of one object: metadata has 20
TOO_MANY = "a body may not have so many values"
TWICE = "an object has a name twice"


class ExactJsonRequest(Request):
    most_values = MOST_VALUES

    async def json(self) -> Any:
        """The body's value. Raises json.JSONDecodeError for everything that is not JSON as RFC 8259 has it."""
        if not hasattr(self, "_exact"):
            self._exact = loads(await self.body(), self.most_values)
        return self._exact


class ExactJsonRoute(APIRoute):
    request_class = ExactJsonRequest

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_exact(request: Request) -> Response:
            return await handle(self.request_class(request.scope, request.receive))

        return handle_exact


class LongJsonRequest(ExactJsonRequest):
    most_values = 40_000
    most_objects = 4_001  # two lists of two thousand

    async def json(self) -> Any:
        """As that of other bodies; one of more objects than there may be is not even parsed."""
        if (await self.body()).count(b"{") > self.most_objects:
            raise json.JSONDecodeError(TOO_MANY, "", 0)
        return await super().json()


class LongJsonRoute(ExactJsonRoute):
    """For long lists that operations bring in."""

    request_class = LongJsonRequest


def loads(raw: bytes, most_values: int = MOST_VALUES) -> Any:
    """The value of a body. Raises json.JSONDecodeError for everything that is not to be read."""
    try:
        value = json.loads(
            raw.decode(), parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_each_name_once
        )
    except json.JSONDecodeError:
        raise
    except (ValueError, ArithmeticError, RecursionError) as error:
        # Not UTF-8, NaN, an integer of thousands of digits, or nesting deeper than the interpreter's stack.
        why = str(error) if isinstance(error, _BadObject) else "not JSON that can be read"
        raise json.JSONDecodeError(why, "", 0) from error
    if raw.count(b",") > most_values / 2 and _has_more_values(value, most_values):
        raise json.JSONDecodeError(TOO_MANY, "", 0)
    return value


class _BadObject(ValueError):
    """An object has a name twice, and which of the values counts is up to who reads it; or it has too many names."""


def _has_more_values(value: Any, most: int) -> bool:
    counted, waiting = 0, [value]
    while waiting and counted <= most:
        one = waiting.pop()
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        counted += len(inner)
        waiting += [each for each in inner if isinstance(each, dict | list)]
    return counted > most


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_NAMES:
        raise _BadObject(TOO_MANY)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadObject(TWICE)
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
