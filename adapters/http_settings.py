"""The settings of what the API takes from whom. Part of `settings.py`, which is what to import."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode


class HttpSettings(BaseSettings):
    more_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="names by commas, beside that of the public URL and those of this machine, under which clients "
        "reach the API; a request to any other is refused",
    )

    @field_validator("more_hosts", mode="before")
    @classmethod
    def _read_names(cls, given: Any) -> Any:
        return tuple(name.strip() for name in given.split(",") if name.strip()) if isinstance(given, str) else given
