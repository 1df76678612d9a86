"""Who asks, settled before the body is read: by a token of the issuer, an API key, or the ticket of a stream.

Every address needs one but the few of `PUBLIC`; each route then names the permission that it needs (`may`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs

from fastapi import Depends, Request, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.availability import database_is_away
from api.http.problems import answer, problem, unread
from domain.errors import Refused, TooMany, Unauthenticated, bad_fields
from domain.identities import Permission, Principal, Visible

PUBLIC = frozenset(
    [
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/asyncapi.json",
        "/events",
        "/events/page.css",
        "/docs",
        "/webhooks/stripe",  # a signature proves who sends
        "/webhooks/carrier",
    ]
)
"""Addresses that need no identity: probes, documents, and what proves its sender otherwise."""
PUBLIC_FOLDER = "/docs/"
PRINCIPAL = "principal"
CHALLENGE = 'Bearer realm="ordersaga"'


class Identities(Protocol):
    """Tells who shows a token or a key. Raises Unauthenticated, or Unavailable where it cannot be told right now."""

    async def principal(self, credential: str) -> Principal: ...

    def of_ticket(self, ticket: str, path: str) -> Principal: ...


@dataclass(frozen=True)
class Caller:
    """Who asks, and whose rows this permission is about."""

    principal: Principal
    visible: Visible
    address: str | None = None  # of a customer's own client; a program's says nothing of who orders

    def by(self, said: str | None) -> str:
        """Who does it, for timelines and trails. Raises InvalidInput where a body says that it is somebody else."""
        known = self.principal.by
        if said not in (None, known):
            raise bad_fields({"by": f"your token says who you are ({known}): leave this out"})
        return known


def is_public(path: str) -> bool:
    """Whether the address needs no identity."""
    return path in PUBLIC or path.startswith(PUBLIC_FOLDER)


class Authentication:
    """Answers 401 to whoever does not say who they are, with the body unread."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            principal = await _principal(scope)
        except Refused as refused:
            await _refusal(await _counted(refused, scope), scope)(scope, receive, send)
        except (SQLAlchemyError, OSError) as error:
            if not database_is_away(error):
                raise
            away = problem(503, "database-away", "the database cannot be reached; try again later")
            await away(scope, receive, send)
        else:
            scope.setdefault("state", {})[PRINCIPAL] = principal
            await self._app(scope, receive, send)


async def _principal(scope: Scope) -> Principal:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given and (tickets := parse_qs(scope["query_string"].decode("latin-1")).get("ticket")):
        if scope["method"] != "GET":
            raise _unknown()
        return _identities(scope).of_ticket(tickets[0], scope["path"])
    scheme, _, credential = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not credential.strip():
        raise _unknown()
    return await _identities(scope).principal(credential.strip())


async def _counted(refused: Refused, scope: Scope) -> Refused:
    """What to answer who is not known: after too many such requests from an address that there were too many.

    Who is known is not refused for what others do behind the same address.
    """
    limits = getattr(scope["app"].state, "limits", None)
    client = scope.get("client")
    if limits is None or client is None or not isinstance(refused, Unauthenticated):
        return refused
    try:
        await limits.failed_login(client[0])
    except TooMany as too_many:
        return too_many
    return refused


def _identities(scope: Scope) -> Identities:
    found: Identities = scope["app"].state.services.identities
    return found


def _unknown() -> Unauthenticated:
    detail = "say who you are: Authorization: Bearer TOKEN, with a token of the issuer or an API key"
    return Unauthenticated("unauthenticated", detail)


def _refusal(refused: Refused, scope: Scope) -> Response:
    if not isinstance(refused, Unauthenticated):
        return answer(refused, unread(scope))
    known = CHALLENGE if refused.code == "unauthenticated" else f'{CHALLENGE}, error="{refused.code}"'
    return answer(refused, {"WWW-Authenticate": known, **unread(scope)})


Asks = Callable[[Request], Awaitable[Caller]]


def may(permission: str) -> Asks:
    """The dependency of a route that needs this permission, e.g. `Depends(may("orders:cancel"))`.

    It gives the caller. Raises Forbidden for one who has not got the permission.
    """
    needed = Permission(permission)

    async def allowed(request: Request) -> Caller:
        principal: Principal | None = request.scope.get("state", {}).get(PRINCIPAL)
        if principal is None:  # an address that is public and has such a route: a mistake of ours
            raise _unknown()
        visible = principal.sees(needed)
        client = request.client if visible.customer_id is not None else None
        return Caller(principal, visible, client.host if client else None)

    allowed.permission = needed  # type: ignore[attr-defined]  # for the walk over all routes
    return allowed


def permission_of(dependency: Any) -> Permission | None:
    """The permission that a dependency of a route asks for; None for another kind of dependency."""
    found: Permission | None = getattr(dependency, "permission", None)
    return found


def needs(permission: str) -> Any:
    """The same for a route that does not care who it is: `dependencies=[needs("catalogue:read")]`."""
    return Depends(may(permission))
