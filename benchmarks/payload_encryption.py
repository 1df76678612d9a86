"""What encrypting a payload costs: `python -m benchmarks.payload_encryption` prints microseconds of CPU."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from temporalio.api.common.v1 import Payload

from adapters.temporal.encryption import Encryption
from adapters.temporal.key_files import make_keys
from adapters.temporal.key_ring import KeyRing

ROUNDS = 20_000
SIZES = (200, 2_000)  # bytes: what a step is given, and the largest that an order sends


async def measure(codec: Encryption, size: int) -> tuple[float, float]:
    """CPU per payload to encrypt and to decrypt it, in microseconds."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=b"x" * size)
    sealed = await codec.encode([payload])
    began = time.process_time()
    for _ in range(ROUNDS):
        await codec.encode([payload])
    between = time.process_time()
    for _ in range(ROUNDS):
        await codec.decode(sealed)
    return (between - began) / ROUNDS * 1e6, (time.process_time() - between) / ROUNDS * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys"
        make_keys(file)
        codec = Encryption(KeyRing(file), "default")
        for size in SIZES:
            encrypt, decrypt = asyncio.run(measure(codec, size))
            print(f"{size} bytes: {encrypt:.1f} us to encrypt, {decrypt:.1f} us to decrypt")  # noqa: T201


if __name__ == "__main__":
    main()
