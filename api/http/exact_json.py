"""JSON bodies read without loss: numbers with a fraction become Decimal, so that no price is ever a float."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute


class ExactJsonRequest(Request):
    async def json(self) -> Any:
        """The body's value. Raises json.JSONDecodeError for everything that is not JSON as RFC 8259 has it."""
        if not hasattr(self, "_exact"):
            self._exact = loads(await self.body())
        return self._exact


class ExactJsonRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_exact(request: Request) -> Response:
            return await handle(ExactJsonRequest(request.scope, request.receive))

        return handle_exact


def loads(raw: bytes) -> Any:
    try:
        return json.loads(raw, parse_float=Decimal, parse_constant=_refuse_constant)
    except json.JSONDecodeError:
        raise
    except (ValueError, ArithmeticError, RecursionError) as error:
        # Not UTF-8, NaN, an integer of thousands of digits, or nesting deeper than the interpreter's stack.
        raise json.JSONDecodeError("not JSON that can be read", "", 0) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
