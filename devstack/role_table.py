"""Which role may use which route, and with whose rows: read off the routes themselves, for docs and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from fastapi.routing import iter_route_contexts

from adapters.settings import Settings
from api.app import create_app
from api.http.authentication import permission_of
from domain.identities import ROLES, Permission, Reach, Role


class GuardedRoute(NamedTuple):
    """A method of an address, and the permissions that it asks for: one, or none where it is public."""

    method: str
    path: str
    permissions: tuple[Permission, ...]

    @property
    def reaches(self) -> Mapping[Role, Reach | None]:
        """What each role may use it for."""
        return {role: ROLES[role].get(self.permissions[0]) if self.permissions else None for role in Role}


@cache
def routes() -> list[GuardedRoute]:
    """Every route of the application. `app.routes` alone would show a few of them, and pass for nothing."""
    found = []
    for context in iter_route_contexts(create_app(Settings(identity_jwks="none")).routes):
        asked = tuple(_permissions(getattr(context, "dependant", None)))
        found += [
            GuardedRoute(method, str(context.path), asked)
            for method in sorted(context.methods or ())
            if method != "HEAD"
        ]
    return found


def _permissions(dependant: Any) -> Iterator[Permission]:
    for one in getattr(dependant, "dependencies", ()):
        if (permission := permission_of(one.call)) is not None:
            yield permission
        yield from _permissions(one)


def markdown_table() -> str:
    """Route by role: `any`, `own`, or nothing for 403."""
    rows = [f"| route | needs | {' | '.join(Role)} |", f"|---|---|{'---|' * len(Role)}"]
    for route in routes():
        if route.permissions:
            cells = " | ".join(reach or "" for reach in route.reaches.values())
            rows.append(f"| `{route.method} {route.path}` | `{route.permissions[0]}` | {cells} |")
    public = ", ".join(f"`{route.path}`" for route in routes() if not route.permissions)
    return "\n".join([*rows, "", f"Without any identity: {public}."])
