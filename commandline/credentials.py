"""Who the command is: `ORDERSAGA_TOKEN`, a file that `ORDERSAGA_TOKEN_FILE` names, or the running stack's developer.

A token or an API key as it is, or a header file (`Authorization: Bearer ...`) as the development stack writes them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import httpx

from commandline.failures import Failure, Misused
from commandline.places import Place, find_stack

TOKEN, TOKEN_FILE = "ORDERSAGA_TOKEN", "ORDERSAGA_TOKEN_FILE"
DEVELOPER = "as-developer"
READ_AGAIN = 60.0  # seconds: a file is written anew before its token expires
MEND = f"set {TOKEN}, or {TOKEN_FILE} to a file; with `make up`, `ordersaga token --role operations` prints one"


class Credential(httpx.Auth):
    """Adds the token to each request; without one the API answers 401, and says what it needs."""

    def __init__(self, read: Callable[[], str | None]) -> None:
        self._read = read
        self._token, self._until = None, 0.0  # type: str | None, float

    def header(self) -> dict[str, str]:
        """Empty where nobody is named."""
        if time.monotonic() > self._until:
            self._token, self._until = self._read(), time.monotonic() + READ_AGAIN
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the header."""
        request.headers.update(self.header())
        yield request


def credential_for(place: Place, environ: Mapping[str, str] | None = None) -> Credential:
    """What the environment names; for the API of the stack of this folder also its developer's file.

    Nobody else gets what is in that file. Raises Misused for a file that cannot be read.
    """
    variables = os.environ if environ is None else environ
    if token := variables.get(TOKEN):
        return Credential(lambda: _checked(token, TOKEN))
    if named := variables.get(TOKEN_FILE):
        return Credential(lambda: _of_file(Path(named)))
    try:
        stack = find_stack()
    except Failure:  # the address was named otherwise, and a broken file says nothing about it
        stack = None
    if stack is not None and stack.url("api") == place.url:
        file = stack.file.with_name(DEVELOPER)
        return Credential(lambda: _of_file(file) if file.is_file() else None)
    return Credential(lambda: None)


def _of_file(file: Path) -> str:
    try:
        text = file.read_text()
    except OSError as error:
        raise Misused(f"{TOKEN_FILE}: {file}: {error.strerror}") from None
    return _checked(text, str(file))


def _checked(text: str, source: str) -> str:
    """The token alone. Raises Misused for what cannot be one."""
    token = text.strip()
    name, _, value = token.partition(":")
    if name.lower() == "authorization":
        token = value.strip()
    if token[:7].lower() == "bearer ":
        token = token[7:].strip()
    if not (token.isascii() and token.isprintable()) or " " in token or not token:
        raise Misused(f"{source}: this is neither a token nor an API key nor a header file")
    return token
