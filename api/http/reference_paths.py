"""The paths of the reference API answer without `/api` and under their older names, too; each is one of ours."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

RENAMED = {"/order": "/api/orders", "/api/order": "/api/orders"}
WITHOUT_PREFIX = ("/cart/", "/inventory/")


def ours(path: str) -> str:
    """The path that routes know."""
    if path.startswith(WITHOUT_PREFIX):
        return f"/api{path}"
    return RENAMED.get(path, path)


class ReferencePaths:
    """Stands before everything that looks at a request's path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (path := ours(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
