"""Holds everybody to how often they may ask: before the body is read, by who they are, for each kind of request.

Probes, documents and webhooks need no identity, and are not limited here.
"""

from __future__ import annotations

from math import ceil

from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.identities.secrets import Secret
from adapters.settings import Settings
from api.http.authentication import PRINCIPAL
from api.http.availability import database_is_away
from api.http.problems import answer, unread
from domain.errors import TooMany, Unavailable
from domain.identities import Principal
from domain.rate_limits import Limit, Standing, limit_of
from services.limits.buckets import BucketRows
from services.limits.limiter import Limiter
from services.limits.limits import Limits


class RateLimits:
    """Answers 429 to whoever asks too often. Where that cannot be told, reads go on, and changes are answered 503."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal: Principal | None = scope.get("state", {}).get(PRINCIPAL)
        limits: Limits | None = getattr(scope["app"].state, "limits", None) if principal else None
        if principal is None or limits is None:
            await self._app(scope, receive, send)
            return
        kind = limit_of(scope["method"], scope["path"])
        try:
            standing = await limits.request(principal, kind)
        except TooMany as refused:
            await answer(refused, unread(scope))(scope, receive, send)
        except Unavailable as refused:
            going_on = self._app if kind is Limit.READS else answer(refused, unread(scope))
            await going_on(scope, receive, send)
        else:
            await self._app(scope, receive, _told(send, standing))


def limits_of(settings: Settings, each_alone: AsyncEngine) -> Limits:
    """By the settings; `each_alone` commits each statement by itself."""
    buckets = BucketRows(each_alone)
    limiter = Limiter(buckets, settings.limit_patience, is_away=database_is_away)
    return Limits(settings.limits, buckets, limiter, Secret(settings.service_secret, "limits"))


def _told(send: Send, standing: Standing) -> Send:
    """What is left, in headers: draft-ietf-httpapi-ratelimit-headers-07, which writes GitHub's without their `X-`."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", ()),
                (b"ratelimit-limit", b"%d" % standing.limit),
                (b"ratelimit-remaining", b"%d" % standing.remaining),
                (b"ratelimit-reset", b"%d" % ceil(standing.reset)),
            ]
        await send(message)

    return told
