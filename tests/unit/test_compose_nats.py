"""The three nodes of NATS in docker-compose.yml, and who knows which of their passwords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from devstack.stack import parts

ROOT = Path(__file__).resolve().parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
NODES = ["nats-1", "nats-2", "nats-3"]


def test_events_are_kept_by_three_nodes() -> None:
    """Each with a volume of its own, started by a script that knows the others; one of them may be away."""
    assert sorted(name for name in SERVICES if name.startswith("nats")) == NODES
    for name in NODES:
        script, own_name = SERVICES[name]["command"]
        assert own_name == name
        assert SERVICES[name]["volumes"] == ["./ops/nats:/ops:ro", f"{name}:/data"]
        assert " ".join(NODES) in (ROOT / "ops" / "nats" / Path(script).name).read_text()
    assert SERVICES["relay"]["environment"]["ORDERSAGA_BROKER_REPLICAS"] == "3"


def test_the_relay_alone_knows_the_password_to_publish() -> None:
    """Whoever only reads has the consumers' password, and the same nodes."""
    for name in ("migrations", "api", "worker"):
        environment = SERVICES[name]["environment"]
        assert "NATS_RELAY_PASSWORD" not in str(environment)
        assert environment["ORDERSAGA_BROKER_URL"] == ""
    relay = SERVICES["relay"]["environment"]
    hosts = ",".join(f"{name}:4222" for name in NODES)
    for variable, user in (("ORDERSAGA_BROKER_URL", "relay"), ("ORDERSAGA_BROKER_CONSUMER_URL", "consumer")):
        password = f"NATS_{user.upper()}_PASSWORD"
        assert relay[variable] == f"nats://{user}:${{{password}:?set {password} in .env}}@{hosts}"


def test_the_same_file_says_who_may_do_what_in_development() -> None:
    assert (parts.PROJECT / "ops" / "nats" / "nats.conf").is_file()
    assert "nats.conf" in (parts.PROJECT / "ops" / "nats" / "node.sh").read_text()
