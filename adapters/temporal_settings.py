"""The settings of Temporal: where it is, with what its payloads are encrypted. Part of `settings.py`: import that."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator, model_validator
from pydantic_settings import BaseSettings
from temporalio.envconfig import ClientConfig, ClientConnectConfig

LOOPBACK = ("127.0.0.1", "localhost", "::1", "")


def _profile() -> ClientConnectConfig:
    """What `TEMPORAL_*` and the file that `TEMPORAL_CONFIG_FILE` names say of the connection."""
    return ClientConfig.load_client_connect_config()


class TemporalSettings(BaseSettings):
    temporal_address: str = Field(
        default_factory=lambda: _profile().get("target_host", "127.0.0.1:7233"),
        validation_alias=AliasChoices("ORDERSAGA_TEMPORAL_ADDRESS", "TEMPORAL_ADDRESS"),
        description="host:port; otherwise what the SDK's configuration file says",
    )
    temporal_namespace: str = Field(
        default_factory=lambda: _profile().get("namespace", "default"),
        validation_alias=AliasChoices("ORDERSAGA_TEMPORAL_NAMESPACE", "TEMPORAL_NAMESPACE"),
        description="likewise",
    )
    temporal_ui_url: str = Field(default="http://127.0.0.1:8233", description="for links to an order's trace")
    temporal_keys_file: Path | None = Field(
        default=None,
        description="keys that payloads in Temporal are encrypted with, one `id:base64key` a line: the first "
        "encrypts, all decrypt; needed unless Temporal is on this machine",
    )
    codec_tokens_file: Path | None = Field(
        default=None,
        description="who may read payloads by the codec server, one `name:token` a line; of that process alone",
    )

    codec_host: str = Field(default="127.0.0.1", description="where the codec server listens")
    codec_port: int = Field(default=8234, ge=0, le=65535, description="likewise")

    @field_validator("temporal_keys_file", "codec_tokens_file", mode="before")
    @classmethod
    def _take_empty_files_as_unset(cls, given: Any) -> Any:
        return None if given == "" else given

    @model_validator(mode="after")
    def _refuse_clear_payloads_outside_loopback(self) -> Self:
        host = urlsplit(f"//{self.temporal_address}").hostname or ""
        if self.temporal_keys_file is None and host not in LOOPBACK:
            raise ValueError(f"temporal_keys_file is not set, but temporal_address is {host}: payloads need a key")
        return self

    @property
    def temporal_ui_origin(self) -> str:
        """Of the Web UI, as browsers name it: the only page that may ask the codec server."""
        parts = urlsplit(self.temporal_ui_url)
        return f"{parts.scheme}://{parts.netloc}"
