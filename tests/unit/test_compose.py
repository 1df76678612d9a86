"""docker-compose.yml as text: its form, its secrets, its confinement, and that it runs what `make up` runs.

Nothing is started here, since there may be no Docker engine; the one-shot scripts are run for real in
`tests/deployment/test_one_shots.py`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices, ValidationError
from pydantic_core import PydanticUndefined

from adapters.settings import Settings
from devstack.stack import parts
from devstack.stack.credentials import Credentials
from devstack.stack.environment import External
from devstack.stack.ports import LOOPBACK, Ports
from events.relay import DRAIN, LAST_CLAIM
from tests.support.compose_values import FILLED_IN, ISSUER
from workflows.order import search_attributes

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
TEXT = FILE.read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
ONE_SHOTS = {
    "databases",
    "temporal-schema",
    "temporal-namespace",
    "temporal-search-attributes",
    "migrations",
    "identities",
    "customer-keys",
    "keys",
}
LONG_RUNNING = set(SERVICES) - ONE_SHOTS
OURS = ("migrations", "api", "worker", "relay")
WAITS_FOR = {"customer-keys", "keys", "migrations", "temporal-search-attributes"}

REQUIRED = re.compile(r"\$\{(\w+):\?set (\w+) in \.env\}")
OPTIONAL = re.compile(r"\$\{(\w+):-([^}]*)\}")
SECRET_NAME = re.compile(r"(?:PASSWORD|PWD|SECRET|KEY|TOKEN)(?!\w*_FILE)")

NOT_HERE = {"stripe_api_base": "Stripe itself: there is no simulator in this file"}


def filled_in(text: str) -> str:
    """As Compose would interpolate it by a .env that sets what is required and nothing else."""
    return OPTIONAL.sub(lambda found: found[2], REQUIRED.sub(lambda found: FILLED_IN[found[1]], text))


def seconds(duration: str) -> float:
    """Of the one unit that this file uses."""
    assert re.fullmatch(r"\d+s", duration), duration
    return float(duration[:-1])


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Builds the settings that a service's container would have, and no others."""

    def build(service: str, **changed: str) -> Settings:
        for name in list(os.environ):
            if name.startswith(("ORDERSAGA_", "TEMPORAL_", "STRIPE_", "DATABASE_", "OTEL_")):
                monkeypatch.delenv(name)
        for name, value in (SERVICES[service]["environment"] | ISSUER | changed).items():
            monkeypatch.setenv(name, filled_in(value))
        return Settings()

    yield build


def follows_the_specification(file: Path) -> subprocess.CompletedProcess[str]:
    """The schema is the compose specification's own, as the package check-jsonschema ships it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def test_follows_the_compose_specification(tmp_path: Path) -> None:
    """The schema takes the file as it is, and refuses one with a wrong type in it."""
    checked = follows_the_specification(FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(TEXT.replace("retries: 12", "retries: {many: 12}", 1))
    refused = follows_the_specification(broken)
    assert refused.returncode == 1 and "'healthcheck' was unexpected" in refused.stdout


def compose(program: list[str], *words: str) -> subprocess.CompletedProcess[str]:
    """With nothing of the developer's environment, which would come before a .env."""
    environ = {"PATH": os.environ["PATH"]}
    command = [*program, *words]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.parametrize("program", [["docker-compose"], ["docker", "compose"]], ids=" ".join)
def test_docker_compose_accepts_the_file_and_demands_the_secrets(program: list[str], tmp_path: Path) -> None:
    """The program itself reads it, and stops at the example, where every secret is empty."""
    if shutil.which(program[0]) is None or compose(program, "version").returncode != 0:
        pytest.skip(f"`{' '.join(program)}` is not installed")
    filled = tmp_path / "filled.env"
    filled.write_text("".join(f"{name}={value}\n" for name, value in FILLED_IN.items()))
    accepted = compose(program, "--env-file", str(filled), "config", "--quiet")
    assert accepted.returncode == 0, accepted.stderr
    refused = compose(program, "--env-file", str(ROOT / ".env.example"), "config", "--quiet")
    assert refused.returncode != 0
    assert re.search(r"set \w+ in \.env", refused.stderr), refused.stderr


def test_takes_every_secret_from_the_environment_and_names_it_when_it_is_missing() -> None:
    """No password, key or signing secret is written into the file, not even a default."""
    literal = {
        f"{name}.{variable}": value
        for name, service in SERVICES.items()
        for variable, value in service.get("environment", {}).items()
        if SECRET_NAME.search(variable) and not REQUIRED.fullmatch(value) and value != f"${{{variable}:-}}"
    }
    assert literal == {}
    assert (passwords := re.findall(r"://\w+:(.*?)@", TEXT)) and all(map(REQUIRED.fullmatch, passwords))
    assert {name for name, _ in REQUIRED.findall(TEXT)} == set(FILLED_IN)
    assert all(name == said for name, said in REQUIRED.findall(TEXT))
    assert [name for name, default in OPTIONAL.findall(TEXT) if SECRET_NAME.search(name) and default] == []


def test_the_example_names_every_variable_and_gives_no_usable_value() -> None:
    """What is required is there and empty; what is optional is commented out, with its default."""
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == set(FILLED_IN)
    assert re.findall(r"^\w+=.+$", example, re.MULTILINE) == []
    assert dict(re.findall(r"^#(\w+)=(.*)$", example, re.MULTILINE)) == dict(OPTIONAL.findall(TEXT))


@pytest.mark.parametrize("service", OURS)
def test_the_settings_take_what_the_file_gives(service: str, settings_of: Any) -> None:
    """A container starts with these values: none is a placeholder, and nothing points at this machine's parts."""
    settings = settings_of(service)
    own = "ordersaga:services-own"
    if service != "migrations":  # which owns the tables
        own = f"ordersaga_{service}_1:{FILLED_IN[f'ORDERSAGA_DB_{service.upper()}_PASSWORD']}"
    assert settings.sqlalchemy_url == f"postgresql+asyncpg://{own}@postgres:5432/ordersaga"
    assert (settings.temporal_address, settings.temporal_namespace) == ("temporal:7233", "default")
    assert settings.stripe_is_live and settings.stripe_api_base is None
    assert settings.stripe_webhook_secret.get_secret_value() == "whsec_one"
    assert settings.carrier_api_base == "https://carrier.example"
    assert settings.carrier_api_key.get_secret_value() == "carriers-own"
    assert settings.carrier_webhook_secret.get_secret_value() == "carriers-signature"
    assert settings.shipping_origin.city == "Reno"
    assert settings.public_url == "https://shop.example"


@pytest.mark.parametrize("service", OURS)
def test_every_setting_reaches_the_service(service: str) -> None:
    """One that is not in the file would keep its default in every container, whatever .env says."""
    given = SERVICES[service]["environment"].keys()
    missing = {name for name in Settings.model_fields if not variables_of(name) & given}
    assert missing == NOT_HERE.keys()


def variables_of(name: str) -> set[str]:
    alias = Settings.model_fields[name].validation_alias
    return {str(one) for one in alias.choices} if isinstance(alias, AliasChoices) else {f"ORDERSAGA_{name.upper()}"}


def test_what_nobody_sets_keeps_its_default(settings_of: Any) -> None:
    """The file repeats the defaults of the settings, and must not drift from them."""
    settings, environment = settings_of("worker"), SERVICES["worker"]["environment"]
    for name, field in Settings.model_fields.items():
        (variable,) = variables_of(name) & environment.keys() or {""}
        if variable in ISSUER:  # here a file of the volume, which only the one-shot service writes
            continue
        if variable and OPTIONAL.fullmatch(environment[variable]) and field.default is not PydanticUndefined:
            assert (getattr(settings, name) or None) == (field.default or None), name


def test_the_settings_refuse_a_placeholder_here(settings_of: Any) -> None:
    """The database is not on loopback, so that the development stack's own secrets are not taken."""
    with pytest.raises(ValidationError, match="carrier_api_key is a placeholder"):
        settings_of("worker", ORDERSAGA_CARRIER_API_KEY="carrier_ordersaga_simulator")


@pytest.mark.parametrize("service", [*OURS, "codec-server"])
def test_runs_the_command_that_make_up_runs(service: str, tmp_path: Path) -> None:
    """The very same words, but for the interpreter's path and the address to listen on."""
    plan = parts.Blueprint(
        folder=tmp_path, ports=Ports(api=8000), credentials=Credentials(), external=External(), base={},
        carrier_clock=(1.0, 2.0), task_queue="orders", postgres=None, temporal_program=tmp_path,
        nats_program=tmp_path,
    )  # fmt: skip
    differs = {sys.executable: "python", LOOPBACK: "0.0.0.0"}
    part = getattr(parts, service.partition("-")[0])(plan)
    assert SERVICES[service]["command"] == [differs.get(word, word) for word in part.command]


def test_every_image_is_pinned_to_a_version() -> None:
    """To a minor version at least; the Temporal ones to the same, ours to the project's."""
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert [image for image in images.values() if not re.search(r":\d+\.\d+[\w.-]*$", image)] == []
    assert images["temporal"].split(":")[1] == images["temporal-schema"].split(":")[1]
    assert images["postgres"] == images["databases"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {images[name] for name in OURS} == {f"ordersaga:{version}"}


def test_every_service_is_limited_and_confined() -> None:
    """Memory and CPU are bounded; no service has a capability, gains a privilege or writes to its image."""
    for name, service in SERVICES.items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["logging"]["options"]["max-size"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service), name


def test_long_running_services_are_watched_and_restarted() -> None:
    """Each has a health check that ends, and comes back after a crash or a reboot."""
    for name in LONG_RUNNING:
        service = SERVICES[name]
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"]), name


def test_every_one_shot_is_waited_for_and_every_server_until_it_is_healthy() -> None:
    """Nothing starts on a database without schema, or a namespace without search attributes."""
    waits = [
        (needed, wait["condition"])
        for service in SERVICES.values()
        for needed, wait in service.get("depends_on", {}).items()
    ]
    assert {condition for needed, condition in waits if needed in ONE_SHOTS} == {"service_completed_successfully"}
    servers = LONG_RUNNING - {"worker"}
    assert {condition for needed, condition in waits if needed in servers} == {"service_healthy"}
    assert {name for name, service in SERVICES.items() if service["restart"] == "no"} == ONE_SHOTS
    assert {needed for needed, _ in waits} >= ONE_SHOTS
    for name in ("api", "worker", "relay"):
        needed = WAITS_FOR | ({"identities"} if name == "api" else set())
        assert set(SERVICES[name]["depends_on"]) - {"worker"} == needed


@pytest.mark.parametrize("name", ["api", "relay"])
def test_what_starts_orders_is_updated_after_the_workers(name: str) -> None:
    """A worker knows the orders of an older API, not those of a newer one; but the API answers while none is well."""
    assert SERVICES[name]["depends_on"]["worker"] == {"condition": "service_started"}


def test_publishes_the_api_and_the_web_ui_on_loopback_only() -> None:
    """Everything else is reached inside its network; the Web UI cannot reach PostgreSQL."""
    published = {name: filled_in(port) for name, service in SERVICES.items() for port in service.get("ports", [])}
    assert published.keys() == {"api", "temporal-ui", "codec-server"}
    assert set(published.values()) == {f"127.0.0.1:{port}" for port in ("8000:8000", "8233:8080", "8234:8234")}
    assert SERVICES["temporal-ui"]["ports"][0].startswith("127.0.0.1:")
    networks = yaml.safe_load(TEXT)["networks"]
    assert {name for name, network in networks.items() if network.get("internal")} == {"data", "engine", "keys"}
    assert "data" not in SERVICES["temporal-ui"]["networks"]


def test_a_stopped_process_gets_longer_than_its_drain(settings_of: Any) -> None:
    """Docker kills after stop_grace_period: the drain, and closing everything after it, fit in."""
    assert seconds(SERVICES["relay"]["stop_grace_period"]) >= LAST_CLAIM + DRAIN + 20
    drain = settings_of("worker").worker_shutdown_grace
    assert seconds(SERVICES["worker"]["stop_grace_period"]) >= drain + 20
    command = SERVICES["api"]["command"]
    drain = float(command[command.index("--timeout-graceful-shutdown") + 1])
    assert seconds(SERVICES["api"]["stop_grace_period"]) >= drain + 20


def test_registers_the_search_attributes_that_the_workflows_set() -> None:
    """Names and types are those of the code, and those of the development server."""
    registered = dict(
        word.split("=") for word in SERVICES["temporal-search-attributes"]["environment"]["SEARCH_ATTRIBUTES"].split()
    )
    kinds = {key.name: key.indexed_value_type.name.title() for key in search_attributes.ALL}
    assert registered == parts.SEARCH_ATTRIBUTES == kinds


def test_temporal_is_set_up_for_production() -> None:
    """Not the deprecated auto-setup image; shards for growth; a dynamic configuration that is there."""
    server = SERVICES["temporal"]
    assert server["image"].startswith("temporalio/server:") and "auto-setup" not in TEXT
    assert server["environment"]["NUM_HISTORY_SHARDS"] == "512"
    mounted = ROOT / "ops" / "temporal"
    configured = mounted / Path(server["environment"]["DYNAMIC_CONFIG_FILE_PATH"]).relative_to("/ops")
    values = yaml.safe_load(configured.read_text())
    assert values["system.forceSearchAttributesCacheRefreshOnRead"] == [{"value": False}]
    for name in ("databases", "temporal-schema", "temporal-namespace", "temporal-search-attributes"):
        (script,) = SERVICES[name]["command"]
        assert (mounted / Path(script).relative_to("/ops")).is_file()
        assert SERVICES[name]["volumes"] == ["./ops/temporal:/ops:ro"]
