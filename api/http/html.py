"""Pages for people. They load nothing from elsewhere, and the browser is told so."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Response
from fastapi.responses import HTMLResponse

_NOTHING_ELSE = {
    "default-src": "'none'",
    "img-src": "'self' data:",
    "style-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
DAY = {"Cache-Control": "max-age=86400"}
"""For files of a fixed version."""


def page(body: str, **allowed: str) -> HTMLResponse:
    """A page that may load styles and pictures of this server, and what is `allowed`, e.g. `script_src="'self'"`.

    https://www.w3.org/TR/CSP3/
    """
    policy = _NOTHING_ELSE | {name.replace("_", "-"): sources for name, sources in allowed.items()}
    sent = "; ".join(f"{name} {sources}" for name, sources in policy.items())
    return HTMLResponse(body, headers=_SAFE | {"Content-Security-Policy": sent})


def file(body: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """What a page loads from this server."""
    return Response(body, media_type=media_type, headers=_SAFE | dict(headers or {}))
