"""The override with mTLS and an authorizer, as configuration: nothing here is run against a server that has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.envconfig import ClientConfigProfile

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "ops/temporal/docker-compose.tls.yml"
OVERRIDE: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
BASE: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
CLIENTS = ("api", "worker", "relay", "temporal-namespace", "temporal-search-attributes")

SERVERS_VARIABLES = frozenset([
    "TEMPORAL_TLS_REQUIRE_CLIENT_AUTH", "TEMPORAL_TLS_FRONTEND_CERT", "TEMPORAL_TLS_FRONTEND_KEY",
    "TEMPORAL_TLS_CLIENT1_CA_CERT", "TEMPORAL_TLS_SERVER_CA_CERT", "TEMPORAL_TLS_SERVER_CERT",
    "TEMPORAL_TLS_SERVER_KEY", "TEMPORAL_TLS_INTERNODE_SERVER_NAME", "TEMPORAL_TLS_FRONTEND_SERVER_NAME",
    "TEMPORAL_AUTH_AUTHORIZER", "TEMPORAL_AUTH_CLAIM_MAPPER", "TEMPORAL_JWT_KEY_SOURCE1",
    "TEMPORAL_JWT_KEY_REFRESH", "TEMPORAL_JWT_PERMISSIONS_CLAIM", "USE_INTERNAL_FRONTEND", "SERVICES",
])  # fmt: skip
"""Those that the server's image knows: https://github.com/temporalio/temporal/blob/main/common/config/config_template_embedded.yaml
and, for SERVICES, its start script."""


def test_follows_the_specification() -> None:
    """The compose specification's own schema takes it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout


def test_changes_services_that_there_are() -> None:
    """And every service that talks to Temporal."""
    assert OVERRIDE.keys() <= BASE.keys()
    speak = {name for name, one in BASE.items() if "TEMPORAL_ADDRESS" in one.get("environment", {})}
    assert speak - {"migrations"} <= OVERRIDE.keys()


def test_the_server_knows_the_variables() -> None:
    """A misspelt one would be passed over in silence, and the frontend would stay open."""
    given = OVERRIDE["temporal"]["environment"]
    assert given.keys() == SERVERS_VARIABLES
    assert given["TEMPORAL_AUTH_AUTHORIZER"] == given["TEMPORAL_AUTH_CLAIM_MAPPER"] == "default"
    assert "internal-frontend" in given["SERVICES"] and given["USE_INTERNAL_FRONTEND"] == "true"


@pytest.mark.parametrize("service", CLIENTS)
def test_the_sdk_reads_certificate_and_token(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the very variables that a container would have."""
    for name in list(os.environ):
        if name.startswith("TEMPORAL_"):
            monkeypatch.delenv(name)
    given = OVERRIDE[service]["environment"] | {"TEMPORAL_API_KEY": "a-token"}
    profile = ClientConfigProfile.load(disable_file=True, override_env_vars=given)
    assert profile.api_key == "a-token"
    assert profile.tls is not None and profile.tls.server_name == "temporal"
    sources = (profile.tls.client_cert, profile.tls.client_private_key, profile.tls.server_root_ca_cert)
    assert [str(source) for source in sources] == ["/certs/client.pem", "/certs/client.key", "/certs/ca.pem"]
