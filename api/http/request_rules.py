"""What every request is held to before anything else looks at it, and what every answer says to browsers.

A browser sends requests for any page that it shows. So a request names us as its host, and one that changes something
comes from no other site (https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Fetch-Site).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.settings import Settings
from api.http.problems import problem

LOOPBACK = frozenset(["127.0.0.1", "localhost", "::1"])
PROBES = frozenset(["/healthz", "/readyz"])
"""Whoever probes a process knows its address only."""

SAFE = frozenset(["GET", "HEAD", "OPTIONS"])
OURS = frozenset([b"same-origin", b"none"])
"""Values of `Sec-Fetch-Site` of our own pages, and of what a person typed; programs send none."""

MOST_PARAMETERS = 100
BY_DEFAULT = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""A page that needs more says so itself."""


def hosts_of(settings: Settings) -> frozenset[str]:
    """The names under which clients may reach this API."""
    return LOOPBACK | {_name_of(settings.public_url), *(one.lower() for one in settings.more_hosts)}


class RequestRules:
    """Refuses what no client of ours sends; `hosts` are the names that we answer to."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it with a problem."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, _secured(send))

    def _refusal(self, scope: Scope) -> Response | None:
        hosts, origin, site = [], None, None
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if scope["path"] not in PROBES and (len(hosts) != 1 or not self._is_ours(b"//" + hosts[0])):
            detail = "the Host header names another service, none, or more than one"
            return problem(421 if len(hosts) == 1 else 400, "unknown-host", detail)
        if scope["method"] not in SAFE and not self._is_same_site(origin, site):
            return problem(403, "cross-site-request", "a page of another site may not change anything here")
        if scope["query_string"].count(b"&") >= MOST_PARAMETERS:
            detail = f"a request may have {MOST_PARAMETERS} parameters"
            return problem(400, "too-many-parameters", detail)
        return None

    def _is_same_site(self, origin: bytes | None, site: bytes | None) -> bool:
        return (site is None or site in OURS) and (origin is None or self._is_ours(origin))

    def _is_ours(self, url: bytes) -> bool:
        return _name_of(url.decode("latin-1")) in self._hosts


def _name_of(url: str) -> str:
    """The host's name in lower case, without its port; nothing where there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _secured(send: Send) -> Send:
    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            named = {name for name, _ in headers}
            headers += (one for one in BY_DEFAULT if one[0] not in named)
            message["headers"] = headers
        await send(message)

    return secured
