"""The settings of identities: whose tokens count, and the service's own secret. Part of `settings.py`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1", "")
DEVELOPMENT_ISSUER = "https://issuer.ordersaga.localhost"


class IdentitySettings(BaseSettings):
    public_url: str = Field(default="http://127.0.0.1:8000", description="where clients reach the API, for links")
    identity_issuer: str = Field(
        default=DEVELOPMENT_ISSUER, min_length=1, description="the `iss` of the tokens that count"
    )
    identity_audience: str = Field(
        default="ordersaga", min_length=1, description="the `aud` that a token has to be meant for"
    )
    identity_jwks: str = Field(
        default=".ordersaga/jwks.json",
        description="the issuer's public keys: an https:// address, or a file, on a machine of one's own only",
    )
    service_secret: SecretStr = Field(
        default=SecretStr("service_ordersaga_development"),
        min_length=16,
        description="what ids of orders, tickets of streams and signed signals are made with; the same for all our "
        "processes, `openssl rand -hex 32` makes one",
    )

    second_person_from: Decimal | None = Field(
        default=None,
        gt=0,
        description="refunds of so much or more, and write-offs about orders of so much, need two people; in major "
        "units of the order's currency; unset: one does",
    )

    @field_validator("second_person_from", mode="before")
    @classmethod
    def _take_empty_as_nobody_else(cls, given: Any) -> Any:
        return None if given == "" else given

    @field_validator("identity_jwks")
    @classmethod
    def _refuse_other_addresses(cls, given: str) -> str:
        parts = urlsplit(given)
        if parts.scheme == "https" and parts.hostname and not parts.username:
            return given
        if parts.scheme or not given:
            raise ValueError("must be an https:// address without a password, or a file")
        return given

    def without_a_file_of_keys_elsewhere(self) -> Self:
        """Raises ValueError where the API is not on this machine, and believes whoever could write a file here."""
        if self.identity_file and (urlsplit(self.public_url).hostname or "") not in LOOPBACK:
            raise ValueError("identity_jwks is a file, but public_url is not on this machine: name an address")
        return self

    @property
    def identity_file(self) -> Path | None:
        """The file of public keys; None where they come from an address."""
        return None if self.identity_jwks.startswith("https://") else Path(self.identity_jwks)
