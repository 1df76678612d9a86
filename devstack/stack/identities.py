"""Who asks a stack's API: its own development key in place of an issuer, and clients that carry tokens of it."""

import asyncio
import time
from collections.abc import Generator
from pathlib import Path

import httpx

from adapters.identities.development import new_key, save_key, saved_key, write_headers
from domain.identities import Role

RENEW_EVERY = 1200.0  # seconds; a token lives for an hour


def make_identities(folder: Path) -> None:
    """A new key, and the header files for `curl -H @FILE`: what was minted for an earlier start counts no longer."""
    key = new_key()
    save_key(folder, key)
    write_headers(folder, key)


async def keep_headers_fresh(folder: Path) -> None:
    """Writes the header files anew before they expire, for ever."""
    while True:
        await asyncio.sleep(RENEW_EVERY)
        if (key := await asyncio.to_thread(saved_key, folder)) is not None:
            await asyncio.to_thread(write_headers, folder, key)


class Bearer(httpx.Auth):
    """Gives each request a token of somebody with these roles, the shop's own if none is named.

    It is signed with the key in the stack's folder.
    """

    def __init__(
        self,
        folder: Path,
        *roles: Role,
        subject: str | None = None,
        customer_id: str | None = None,
    ) -> None:
        self._folder, self._roles = folder, roles or (Role.SHOP,)
        self._subject, self._customer_id = subject, customer_id
        self._token, self._until = "", 0.0

    @classmethod
    def of_operations(cls, folder: Path, subject: str) -> "Bearer":
        """Of a person at the shop's operations desk, for programs that import no rule of the service."""
        return cls(folder, Role.OPERATIONS, subject=subject)

    @property
    def token(self) -> str:
        """One that is good for a while."""
        if time.monotonic() > self._until:
            key = saved_key(self._folder)
            if key is None:
                raise RuntimeError(f"there is no development key in {self._folder}: the stack does not run")
            self._token = key.token(self._roles, subject=self._subject, customer_id=self._customer_id)
            self._until = time.monotonic() + RENEW_EVERY
        return self._token

    @property
    def header(self) -> dict[str, str]:
        """For a client that is none of httpx."""
        return {"Authorization": f"Bearer {self.token}"}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header."""
        request.headers.update(self.header)
        yield request
