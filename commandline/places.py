"""Where the API is: `--api`, `ORDERSAGA_API_URL`, the stack that runs in this folder or above it, or the default."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from commandline.failures import Failure, Misused

DEFAULT_API = "http://127.0.0.1:8000"
API_VARIABLE = "ORDERSAGA_API_URL"
STACK_FILE = Path(".ordersaga") / "stack.json"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Place:
    """An address and who named it, for the message when nobody answers there."""

    url: str
    source: str

    @property
    def is_local(self) -> bool:
        return urlsplit(self.url).hostname in LOOPBACK


@dataclass(frozen=True)
class RunningStack:
    """What a development stack says of itself while it runs."""

    file: Path
    known: Mapping[str, Any]

    def url(self, part: str) -> str | None:
        found = self.known.get(part)
        return str(found) if found else None

    def runs(self, part: str) -> bool:
        """Whether the part is the stack's own: it may use a database or a Stripe account from elsewhere."""
        pids = self.known.get("pids")
        return pids is None or part in pids

    def secrets(self) -> Mapping[str, str]:
        """The stack's own keys, where the reader may see them."""
        try:
            found = json.loads(self.file.with_name("credentials.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def find_stack(folder: Path | None = None) -> RunningStack | None:
    """The stack of this folder or of the nearest one above it."""
    here = (folder or Path.cwd()).resolve()
    for each in (here, *here.parents):
        file = each / STACK_FILE
        if file.is_file():
            return _read(file)
    return None


def _read(file: Path) -> RunningStack:
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise Failure("bad_stack_file", f"{file} cannot be read: {error}", mend="name the API with --api") from None
    if not isinstance(known, dict):
        raise Failure("bad_stack_file", f"{file} is not what a stack writes", mend="name the API with --api")
    return RunningStack(file, known)


def find_api(given: str | None, environ: Mapping[str, str] | None = None) -> Place:
    """Raises Misused for what is no http address."""
    variables = os.environ if environ is None else environ
    if given:
        return _checked(given, "--api")
    if named := variables.get(API_VARIABLE):
        return _checked(named, API_VARIABLE)
    stack = find_stack()
    if stack is not None and (url := stack.url("api")):
        return _checked(url, str(STACK_FILE))
    return Place(DEFAULT_API, "the default")


def _checked(url: str, source: str) -> Place:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misused(f"{source}: {url!r} is not an http:// or https:// address")
    return Place(url.rstrip("/"), source)
