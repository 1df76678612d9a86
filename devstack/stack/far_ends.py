"""The simulators of Stripe and of the carrier as parts of a stack."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.simulators.secrets import API_KEY, WEBHOOK_SECRET
from devstack.stack.ports import LOOPBACK
from devstack.stack.probes import http_ok
from devstack.stack.process import Part

if TYPE_CHECKING:
    from devstack.stack.parts import Blueprint

PROJECT = Path(__file__).resolve().parents[2]


def _simulator(plan: Blueprint, name: str, port: int, key: str, secret: str, *more: str) -> Part:
    command = [sys.executable, "-m", f"devstack.{name}.simulator", "--host", LOOPBACK, "--port", str(port)]
    command += ["--data", str(plan.folder / f"{name}.db"), "--webhook-url", f"{plan.api}/webhooks/{name}"]
    secrets = {WEBHOOK_SECRET: secret, API_KEY: key}  # not in arguments, which every user of the machine can list
    ready = http_ok(port, "/_control/health")
    return Part(name, [*command, *more], {**plan.base, **secrets}, PROJECT, ready)


def stripe(plan: Blueprint) -> Part:
    secrets = plan.credentials
    key, secret = secrets.stripe_api_key, secrets.stripe_webhook_secret
    return _simulator(plan, "stripe", plan.ports.stripe, key, secret)


def carrier(plan: Blueprint) -> Part:
    secrets = plan.credentials
    scan, deliver = plan.carrier_clock
    clock = ("--scan-after", str(scan), "--deliver-after", str(deliver))
    key, secret = secrets.carrier_api_key, secrets.carrier_webhook_secret
    return _simulator(plan, "carrier", plan.ports.carrier, key, secret, *clock)
