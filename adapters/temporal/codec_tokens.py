"""Who may read payloads by the codec server: one `name:token` per line of a file, for its owner's eyes."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from adapters.temporal.key_ring import KeysUnusable, refuse_open_file

NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
SHORTEST = 32  # characters


class FileOfTokens:
    """Reads the file at each question: who was taken out of it reads nothing more."""

    def __init__(self, file: Path) -> None:
        """Raises KeysUnusable."""
        self._file = file
        read_tokens(file)

    async def who(self, token: str) -> str | None:
        """Whose token it is; None for one that is nobody's. Raises KeysUnusable."""
        digest, found = _digest(token), None
        for name, known in read_tokens(self._file).items():
            if hmac.compare_digest(known, digest):
                found = name
        return found


def read_tokens(file: Path) -> Mapping[str, bytes]:
    """Digests of the tokens, by the names of who has them. Raises KeysUnusable, which quotes no token."""
    try:
        with file.open() as opened:
            refuse_open_file(file, os.fstat(opened.fileno()))
            lines = opened.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysUnusable(f"{file}: {getattr(error, 'strerror', None) or 'not text'}") from None
    found = {}
    for number, line in enumerate(lines, 1):
        name, _, token = line.strip().partition(":")
        if not name or name.startswith("#"):
            continue
        if not NAME.fullmatch(name) or len(token) < SHORTEST or name in found:
            wanted = f"`name:token`, each name once and the token with {SHORTEST} characters or more"
            raise KeysUnusable(f"{file}, line {number}: {wanted}, is needed")
        found[name] = _digest(token)
    if not found:
        raise KeysUnusable(f"{file} names nobody")
    return found


def make_tokens(file: Path, name: str) -> None:
    """A file with a new token for one person; a file that is there stays, and is checked."""
    if file.exists():
        read_tokens(file)
        return
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{name}:{secrets.token_urlsafe(32)}\n")
    unfinished.replace(file)


def _digest(token: str) -> bytes:
    """Random tokens need no slow hash."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
