"""The settings of personal data: what it is sealed with, how long it stays. Part of `settings.py`: import that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class PrivacySettings(BaseSettings):
    customer_keys_file: Path | None = Field(
        default=None,
        description="master keys of the customers' data keys, one `id:base64key` a line: the first wraps, all "
        "unwrap; needed unless the database is on this machine",
    )
    sealing_later: bool = Field(
        default=False,
        description="`true` while a version that seals is rolled out: everybody learns to read what is sealed before "
        "anybody writes it; `ordersaga doctor` warns meanwhile",
    )
    blind_index_secret: SecretStr = Field(
        default=SecretStr("service_ordersaga_blind_index"),
        min_length=16,
        description="what customers are found with by their e-mail address; the same for all our processes and for "
        "good, `openssl rand -hex 32` makes one",
    )
    accounting_years: int = Field(
        default=10,
        ge=0,
        le=30,
        description="how long names and addresses of invoices have to be kept, from the end of the year of a "
        "customer's last order",
    )
    tombstones: Path = Field(
        default=Path(".ordersaga/tombstones"),
        description="a folder that has a file for each erased customer, outside of the database that is restored",
    )

    @field_validator("customer_keys_file", mode="before")
    @classmethod
    def _take_an_empty_file_as_unset(cls, given: Any) -> Any:
        return None if given == "" else given

    @property
    def seals(self) -> bool:
        """Whether what is personal is written sealed."""
        return self.customer_keys_file is not None and not self.sealing_later

    def has_no_master_key(self) -> bool:
        """Whether personal data would lie in clear, and nobody has said that this is for now."""
        return self.customer_keys_file is None and not self.sealing_later
