"""Loopback TCP ports: the wanted one if it is free, otherwise one that nobody else takes."""

import fcntl
import functools
import os
import random
import socket
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from devstack.errors import StackError

LOOPBACK = "127.0.0.1"

# Below the range that systems hand to outgoing connections (from 32768 on Linux, 49152 elsewhere): while a part
# restarts, no client's own connection can take its port, or connect to itself on it.
FREE_RANGE = range(20_000, 32_000)


@dataclass(frozen=True)
class Ports:
    """The port of every listener of one stack; 0 as a wish stands for any free one."""

    api: int = 0
    temporal: int = 0
    temporal_ui: int = 0
    temporal_http: int = 0
    temporal_metrics: int = 0
    postgres: int = 0
    stripe: int = 0
    carrier: int = 0
    worker_health: int = 0
    relay_health: int = 0
    nats: int = 0
    nats_monitor: int = 0
    codec: int = 0


DEFAULT_PORTS = Ports(
    api=8000, temporal=7233, temporal_ui=8233, postgres=5432, stripe=12111, carrier=12112, nats=4222, codec=8234
)


class PortSettingInvalid(StackError):
    """A port setting that is not a number from 0 to 65535."""


def wanted_ports(environ: Mapping[str, str]) -> Ports:
    """The defaults, with `ORDERSAGA_<NAME>_PORT` in their place where it is set."""
    wishes = {}
    for field in fields(Ports):
        setting = f"ORDERSAGA_{field.name.upper()}_PORT"
        wishes[field.name] = _port_number(setting, environ.get(setting), getattr(DEFAULT_PORTS, field.name))
    return Ports(**wishes)


def _port_number(setting: str, text: str | None, default: int) -> int:
    if text is None or not text.strip():
        return default
    if not text.strip().isdecimal() or int(text) > 65_535:
        raise PortSettingInvalid(f"{setting} is {text!r}: it must be a port number from 0 (any free one) to 65535")
    return int(text)


def claim_ports(wishes: Ports) -> Ports:
    """One different free port for every listener: the wished one where that can be had."""
    claimed: dict[str, int] = {}
    for field in fields(Ports):
        wish = getattr(wishes, field.name)
        usable = wish and wish not in claimed.values() and is_free(wish)
        claimed[field.name] = wish if usable else free_port(claimed.values())
    return Ports(**claimed)


def free_port(but_not: Iterable[int] = ()) -> int:
    """A port that nobody listens on now, and that is given to nobody else until this process ends.

    Raises OSError when none can be found.
    """
    taken = set(but_not)
    for candidate in random.sample(FREE_RANGE, len(FREE_RANGE)):
        if candidate not in taken and _claim(candidate):
            return candidate
    raise OSError(f"no free port between {FREE_RANGE.start} and {FREE_RANGE.stop}")


def claims_file() -> Path:
    """Shared by all stacks of one user: what a process has claimed is a lock on the byte of the port's number."""
    return Path(tempfile.gettempdir()) / f"ordersaga-ports-{os.getuid()}"


@functools.cache
def _claims() -> int:
    """The open file, which is never closed: the locks last until the process ends, however it ends."""
    return os.open(claims_file(), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


@functools.cache
def _given() -> set[int]:
    """The ports of this process: its own locks do not stop it."""
    return set()


def _claim(port: int) -> bool:
    """False for a port that somebody listens on or has claimed: two stacks that start at once take different ones."""
    if port in _given():
        return False
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    if not is_free(port):
        fcntl.lockf(_claims(), fcntl.LOCK_UN, 1, port)
        return False
    _given().add(port)
    return True


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port; connections that are closing do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
