"""What sealing an address costs: `python -m benchmarks.sealing` prints microseconds of CPU."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from pydantic import SecretStr

from adapters.keys.ring import FileKeys
from adapters.keys.vault import Place, Vault
from adapters.temporal.key_files import make_keys
from domain.data_classes import Purpose

ROUNDS = 20_000
ADDRESS = "x" * 200
PLACE = Place("orders.address_sealed", "c-1", "0" * 32)


async def measure() -> dict[str, float]:
    """CPU of each call in microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        make_keys(Path(folder) / "keys")
        vault = Vault(FileKeys(Path(folder) / "keys"), SecretStr("pepper"))
    wrapped = await vault.new_key("c-1", Purpose.ACCOUNTING)
    cipher = await vault.cipher("c-1", Purpose.ACCOUNTING, wrapped)
    sealed = cipher.seal(PLACE, ADDRESS)

    async def seal() -> None:
        cipher.seal(PLACE, ADDRESS)

    async def unseal() -> None:
        cipher.open(PLACE, sealed)

    async def unwrap() -> None:
        vault.forget("c-1")
        await vault.cipher("c-1", Purpose.ACCOUNTING, wrapped)

    calls = {"seal": seal, "open": unseal, "unwrap a key": unwrap}
    return {name: await _timed(call) for name, call in calls.items()}


async def _timed(call: Callable[[], Awaitable[None]]) -> float:
    began = time.process_time()
    for _ in range(ROUNDS):
        await call()
    return (time.process_time() - began) / ROUNDS * 1e6


if __name__ == "__main__":
    for name, took in asyncio.run(measure()).items():
        print(f"{name}: {took:.1f} us")  # noqa: T201
