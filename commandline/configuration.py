"""What the service itself is configured by, for the commands that look behind the API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from temporalio.client import Client

from adapters.settings import Settings
from adapters.temporal import client as temporal
from adapters.temporal.encryption import data_converter
from commandline.failures import Failure
from commandline.places import RunningStack, find_stack

DEV_NAMESPACE = "default"
TEMPORAL_VARIABLES = ("TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE")
STRIPE_VARIABLES = ("STRIPE_API_KEY", "STRIPE_API_BASE")


@dataclass(frozen=True)
class Configuration:
    """The settings, and whether Temporal is a development stack's own."""

    settings: Settings
    stacks_temporal: bool = False

    async def connect(self) -> Client:
        """Raises RuntimeError where Temporal cannot be reached, KeysUnusable where its keys are."""
        if not self.stacks_temporal:
            return await temporal.connect(self.settings)
        # Without the developer's own profile, which may name a cloud and its key: neither belongs on the loopback.
        return await Client.connect(
            self.settings.temporal_address,
            namespace=self.settings.temporal_namespace,
            data_converter=data_converter(self.settings),
        )


def configuration(
    stack: RunningStack | None = None, environ: Mapping[str, str] | None = None, temporal_address: str | None = None
) -> Configuration:
    """What the environment says; what it leaves open, the stack that runs in this folder or above it.

    Raises pydantic.ValidationError for settings that make no sense.
    """
    variables = os.environ if environ is None else environ
    found = stack or find_stack()
    values: dict[str, Any] = _of_stack(found, variables) if found else {}
    stacks_temporal = "temporal_address" in values and temporal_address is None
    if temporal_address is not None:
        values["temporal_address"] = temporal_address
    return Configuration(Settings(**values), stacks_temporal)


def usable_configuration(temporal_address: str | None = None) -> Configuration:
    """Raises Failure for settings that make no sense, without their values: they may be secrets."""
    try:
        return configuration(temporal_address=temporal_address)
    except ValidationError as error:
        problems = [
            {"field": ".".join(str(part) for part in one["loc"]), "message": one["msg"]}
            for one in error.errors(include_input=False, include_url=False, include_context=False)
        ]
        raise Failure("bad_settings", "the settings make no sense", errors=problems) from None


def _of_stack(stack: RunningStack, variables: Mapping[str, str]) -> dict[str, Any]:
    secrets = stack.secrets()
    found: dict[str, str | None] = {
        "public_url": stack.url("api"),
        "database_url": stack.url("databaseUrl"),
        "carrier_api_base": stack.url("carrier"),
        "carrier_api_key": secrets.get("carrier_api_key"),
        "carrier_webhook_secret": secrets.get("carrier_webhook_secret"),
        "stripe_webhook_secret": secrets.get("stripe_webhook_secret"),
        "broker_consumer_url": stack.url("nats"),
        "worker_health_port": str(urlsplit(stack.url("workerHealth") or "").port or ""),
        "relay_health_port": str(urlsplit(stack.url("relayHealth") or "").port or ""),
        "customer_keys_file": stack.url("customerKeys"),
        "blind_index_secret": secrets.get("blind_index_secret"),
        "tombstones": stack.url("tombstones"),
    }
    if stack.runs("stripe") and not any(_is_set(name, variables) for name in STRIPE_VARIABLES):
        found |= {"stripe_api_base": stack.url("stripe"), "stripe_api_key": secrets.get("stripe_api_key")}
    if stack.runs("temporal") and not any(_is_set(name, variables) for name in TEMPORAL_VARIABLES):
        found |= {
            "temporal_address": stack.url("temporalAddress"),
            "temporal_namespace": DEV_NAMESPACE,
            "temporal_ui_url": stack.url("temporalUi"),
            "temporal_keys_file": stack.url("temporalKeys"),
        }
    return {name: value for name, value in found.items() if value and not _is_set(name.upper(), variables)}


def _is_set(name: str, variables: Mapping[str, str]) -> bool:
    return name in variables or f"ORDERSAGA_{name}" in variables
