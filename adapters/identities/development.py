"""A key of one's own for development and tests, in place of an issuer; its folder is for its owner alone.

The service knows its public half by the JWKS file beside it, which is refused as soon as the API is not on loopback.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from adapters.identities.tokens import LONGEST_LIFE, TYPE
from adapters.identity_settings import DEVELOPMENT_ISSUER
from domain.identities import Role

PRIVATE, PUBLIC = "identity-key.json", "jwks.json"
AUDIENCE = "ordersaga"
PEOPLE = {
    "customer": ((Role.CUSTOMER,), "123"),
    "shop": ((Role.SHOP,), None),
    "support": ((Role.SUPPORT,), None),
    "operations": ((Role.OPERATIONS,), None),
    "auditor": ((Role.AUDITOR,), None),
    "privacy": ((Role.PRIVACY,), None),
    "developer": ((Role.SHOP, Role.OPERATIONS, Role.AUDITOR), None),
}
"""Who has a header file `as-NAME` beside the key: roles, and the customer that they are."""


class DevelopmentKey:
    """Signs tokens as an issuer would."""

    def __init__(self, key: ECKey) -> None:
        self._key = key

    @property
    def public(self) -> dict[str, Any]:
        """The JWKS document."""
        return {"keys": [{**self._key.as_dict(private=False), "use": "sig"}]}

    @property
    def private(self) -> dict[str, Any]:
        return dict(self._key.as_dict(private=True))

    def token(
        self,
        roles: Iterable[Role],
        *,
        subject: str | None = None,
        customer_id: str | None = None,
        life: int = LONGEST_LIFE,
        **other: Any,
    ) -> str:
        """A token of somebody with these roles, for `life` seconds; `other` claims come on top, or instead."""
        names, now = [role.value for role in roles], int(time.time())
        claims: dict[str, Any] = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": AUDIENCE,
            "sub": subject or customer_id or "-".join(names) or "nobody",
            "scope": " ".join(names),
            "iat": now,
            "exp": now + life,
            "jti": secrets.token_hex(8),
        }
        claims |= ({"customer_id": customer_id} if customer_id else {}) | other
        return jwt.encode({"typ": TYPE, "alg": "ES256", "kid": str(self._key.kid)}, claims, self._key)


def new_key() -> DevelopmentKey:
    """A key that nobody has seen."""
    return DevelopmentKey(ECKey.generate_key("P-256", {"kid": f"dev-{secrets.token_hex(4)}", "alg": "ES256"}))


def main(arguments: list[str]) -> int:
    """`python -m adapters.identities.development FOLDER`: a new key, and a header file for each of `PEOPLE`."""
    if len(arguments) != 1:
        sys.stderr.write(f"{main.__doc__}\n")
        return 2
    key, folder = new_key(), Path(arguments[0])
    save_key(folder, key)
    write_headers(folder, key)
    return 0


def saved_key(folder: Path) -> DevelopmentKey | None:
    """The key of a folder; None where there is none that one may read."""
    try:
        return DevelopmentKey(ECKey.import_key(json.loads((folder / PRIVATE).read_text())))
    except (OSError, ValueError):
        return None


def save_key(folder: Path, key: DevelopmentKey) -> None:
    """Both halves, for their owner's eyes."""
    write_private(folder / PRIVATE, json.dumps(key.private) + "\n")
    write_private(folder / PUBLIC, json.dumps(key.public) + "\n")


def write_headers(folder: Path, key: DevelopmentKey) -> None:
    """A header file for each of `PEOPLE`, as `curl -H @FILE` takes it; good for an hour."""
    for name, (roles, customer_id) in PEOPLE.items():
        token = key.token(roles, subject=name, customer_id=customer_id)
        write_private(folder / f"as-{name}", f"Authorization: Bearer {token}\n")


def write_private(file: Path, text: str) -> None:
    """Whole or not at all, and never readable by others."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(text)
    unfinished.replace(file)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
