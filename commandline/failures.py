"""What a command that cannot do what it was asked says, and the exit code that goes with it.

0: done. 1: refused or failed. 2: the command was called wrongly, or its file cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

REFUSED = 1
USAGE = 2


class Failure(Exception):
    """Ends a command. `document` is what `--json` prints, in the shape of RFC 9457 as the API's own problems."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        mend: str = "",
        errors: Sequence[Mapping[str, str]] = (),
        exit_code: int = REFUSED,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail, self.mend, self.exit_code = code, detail, mend, exit_code
        self.errors = list(errors)
        self.members = members

    @property
    def document(self) -> dict[str, Any]:
        slug = self.code.replace("_", "-")
        said: dict[str, Any] = {
            "type": f"/problems/{slug}",
            "title": slug.replace("-", " ").capitalize(),
            "code": self.code.replace("-", "_"),
            "detail": self.detail,
            **self.members,
        }
        if self.mend:
            said["mend"] = self.mend
        if self.errors:
            said["errors"] = self.errors
        return said


class Misused(Failure):
    """The command was called with something that it cannot work with."""

    def __init__(self, detail: str, *, code: str = "usage", mend: str = "", **members: Any) -> None:
        super().__init__(code, detail, mend=mend, exit_code=USAGE, **members)


@contextmanager
def naming(parameter: str) -> Iterator[None]:
    """Turns a ValueError inside the block into the refusal of a parameter of the command."""
    try:
        yield
    except ValueError as error:
        raise Misused(f"{parameter}: {error}", errors=[{"field": parameter, "message": str(error)}]) from None
