"""What a stack encrypts with, and the codec server, by which people read it in the Web UI."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.temporal.codec_tokens import make_tokens
from adapters.temporal.key_files import make_keys
from devstack.stack.probes import http_ok
from devstack.stack.process import Part

if TYPE_CHECKING:
    from devstack.stack.parts import Blueprint

PROJECT = Path(__file__).resolve().parents[2]
READER = "developer"  # whose token is made


def keys_file(plan: Blueprint) -> Path:
    """What payloads in Temporal are encrypted with: the stack's own keys, unless its Temporal is somebody else's."""
    return Path(plan.base.get("ORDERSAGA_TEMPORAL_KEYS_FILE") or plan.folder / "temporal-keys")


def customer_keys_file(plan: Blueprint) -> Path:
    """What the customers' data keys are wrapped with."""
    return Path(plan.base.get("ORDERSAGA_CUSTOMER_KEYS_FILE") or plan.folder / "customer-keys")


def tombstones(plan: Blueprint) -> Path:
    """The folder that remembers who was erased."""
    return Path(plan.base.get("ORDERSAGA_TOMBSTONES") or plan.folder / "tombstones")


def tokens_file(plan: Blueprint) -> Path:
    """Who may read by the codec server."""
    return plan.folder / "codec-tokens"


def files_of_keys(plan: Blueprint) -> dict[str, str]:
    """What the service's processes are told of it."""
    return {
        "ORDERSAGA_TEMPORAL_KEYS_FILE": str(keys_file(plan)),
        "ORDERSAGA_CUSTOMER_KEYS_FILE": str(customer_keys_file(plan)),
        "ORDERSAGA_BLIND_INDEX_SECRET": plan.credentials.blind_index_secret,
        "ORDERSAGA_TOMBSTONES": str(tombstones(plan)),
    }


def make_files(plan: Blueprint) -> None:
    """Keys and token of a new folder; those of an older one stay, or nobody could read its orders."""
    make_keys(keys_file(plan))
    make_keys(customer_keys_file(plan))
    make_tokens(tokens_file(plan), READER)


def codec(plan: Blueprint) -> Part:
    """The codec server."""
    own = {"ORDERSAGA_CODEC_PORT": str(plan.ports.codec), "ORDERSAGA_CODEC_TOKENS_FILE": str(tokens_file(plan))}
    return Part(
        name="codec",
        command=[sys.executable, "codec_server.py"],
        environment=plan.service_environment() | own,
        folder=PROJECT,
        ready=http_ok(plan.ports.codec, "/healthz"),
    )
