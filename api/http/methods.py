"""Which methods an address takes. The router's 405 names those of the first route at it, and there may be several."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path


class _Address(NamedTuple):
    path: re.Pattern[str]
    methods: frozenset[str]


def allowed(app: FastAPI, path: str) -> str:
    """For the header `Allow` (RFC 9110, section 10.2.1)."""
    found: Iterable[_Address] | None = getattr(app.state, "addresses", None)
    if found is None:
        found = app.state.addresses = [
            _Address(compile_path(str(route.path))[0], frozenset(route.methods))
            for route in iter_route_contexts(app.routes)
            if route.methods
        ]
    return ", ".join(sorted({method for one in found if one.path.match(path) for method in one.methods}))
