"""Who asks in tests: somebody with any role, by the key of the session's stack."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx

from adapters.identities.development import DevelopmentKey, saved_key
from domain.identities import Role

ALL = (Role.SHOP, Role.OPERATIONS, Role.AUDITOR)


class Signer:
    """The key of this process's stack, once that runs."""

    def __init__(self) -> None:
        self._key: DevelopmentKey | None = None

    def use(self, folder: Path) -> None:
        self._key = saved_key(folder)

    @property
    def known(self) -> bool:
        return self._key is not None

    @property
    def key(self) -> DevelopmentKey:
        assert self._key is not None, "no stack runs yet"
        return self._key


signer = Signer()


def token(*roles: Role, **claims: Any) -> str:
    """A token of somebody with these roles, or with all that tests of other things need."""
    return signer.key.token(roles or ALL, **claims)


class Anybody(httpx.Auth):
    """A client's tokens, made when they are first needed.

    Whoever a body says that it is from (`by`), its token is of: tests play several people with one client.
    """

    def __init__(self, *roles: Role, **claims: Any) -> None:
        self._roles, self._claims = roles, claims
        self._tokens: dict[str, str] = {}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if "Authorization" not in request.headers:
            by = "" if self._roles else _said_by(request)
            if by not in self._tokens:
                named = {"subject": by} if by else {}
                self._tokens[by] = token(*self._roles, **self._claims | named)
            request.headers["Authorization"] = f"Bearer {self._tokens[by]}"
        yield request


def _said_by(request: httpx.Request) -> str:
    try:
        body = json.loads(request.content)
    except (ValueError, RecursionError, httpx.RequestNotRead):
        return ""
    by = body.get("by") if isinstance(body, dict) else None
    return by if isinstance(by, str) and by.isprintable() else ""
