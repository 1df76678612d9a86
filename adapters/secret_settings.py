"""Secrets from files, and webhook secrets while they are replaced. Part of `settings.py`, which is what to import.

Every secret setting may be named with `_FILE` at its end, and is then read from that file: Docker and Kubernetes
mount secrets so, and neither `docker inspect` nor a child process shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

LARGEST = 64 * 1024  # bytes


@dataclass(frozen=True)
class UnusableFile:
    """Stands in for a secret that its file does not give, so that the error names the setting like any other."""

    problem: str


class SecretSettings(BaseSettings):
    stripe_webhook_secret_previous: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("ORDERSAGA_STRIPE_WEBHOOK_SECRET_PREVIOUS", "STRIPE_WEBHOOK_SECRET_PREVIOUS"),
        description="counts as well while the endpoint's secret is rolled at Stripe",
    )
    carrier_webhook_secret_previous: SecretStr | None = Field(
        default=None, description="counts as well while the carrier's webhook secret is replaced"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_unusable_files(cls, given: Any) -> Any:
        if isinstance(given, UnusableFile):
            raise ValueError(given.problem)
        return given

    @field_validator("stripe_webhook_secret_previous", "carrier_webhook_secret_previous", mode="before")
    @classmethod
    def _take_empty_secrets_as_unset(cls, given: Any) -> Any:
        return None if given == "" else given

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code, then the environment with its files of secrets."""
        return init_settings, SecretFiles(settings_cls)


class SecretFiles(EnvSettingsSource):
    """The environment, in which `NAME_FILE` stands for what is in that file."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The environment's value of a field, what its file holds, or why that cannot be had."""
        found, key, is_complex = super().get_field_value(field, field_name)
        if not is_secret(field):
            return found, key, is_complex
        for variable in variables_of(field, field_name):
            named = self.env_vars.get(f"{variable}_FILE".lower())
            if named and found:
                return UnusableFile(f"{variable}_FILE is set beside it: unset one of the two"), key, False
            if named:
                return _read(f"{variable}_FILE", Path(named)), key, False
        return found, key, is_complex


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is one that no log may show."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def variables_of(field: FieldInfo, name: str) -> tuple[str, ...]:
    """The variables of a setting, our own first."""
    if isinstance(field.validation_alias, AliasChoices):
        return tuple(str(one) for one in field.validation_alias.choices)
    return (f"ORDERSAGA_{name.upper()}",)


def _read(variable: str, file: Path) -> str | UnusableFile:
    try:
        with file.open("rb") as opened:
            said = opened.read(LARGEST + 1)
        text = said.decode().strip()
    except OSError as error:
        return UnusableFile(f"{variable} names {file}: {error.strerror}")
    except UnicodeDecodeError:
        return UnusableFile(f"{variable} names {file}, which is not text")
    if not text or len(said) > LARGEST:
        return UnusableFile(f"{variable} names {file}, which is {'too large' if text else 'empty'}")
    return text
