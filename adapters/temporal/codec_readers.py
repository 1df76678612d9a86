"""Who may read by the codec server: who is in its file of tokens, or has one of the issuer's with its scope."""

from __future__ import annotations

from pathlib import Path

from adapters.identities.tokens import Tokens
from adapters.temporal.codec_tokens import FileOfTokens
from domain.errors import Unauthenticated, Unavailable
from domain.identities import DECODE


class Readers:
    """A token of the issuer names who it is for; while its keys cannot be read, only the file counts."""

    def __init__(self, file: Path, issuers: Tokens) -> None:
        """Raises KeysUnusable."""
        self._file, self._issuers = FileOfTokens(file), issuers

    async def who(self, token: str) -> str | None:
        """Whose token it is; None for one that may not read. Raises KeysUnusable."""
        if (named := await self._file.who(token)) is not None or token.count(".") != 2:
            return named
        try:
            principal = await self._issuers.principal(token)
        except (Unauthenticated, Unavailable):
            return None
        return principal.subject if DECODE in principal.scopes else None
