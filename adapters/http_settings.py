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

    api_prometheus_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="of the API's own `/metrics`, on `ORDERSAGA_METRICS_HOST`; 0: they are on the API's port where "
        "the public URL is on this machine, and nowhere else",
    )

    @field_validator("more_hosts", mode="before")
    @classmethod
    def _read_names(cls, given: Any) -> Any:
        return tuple(name.strip() for name in given.split(",") if name.strip()) if isinstance(given, str) else given
