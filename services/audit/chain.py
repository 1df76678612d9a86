"""The hash chain over the audit: what a seal says of its entries. Pure, so that anybody can verify it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

BEGINNING = bytes(32)
"""What the first seal follows."""


class Seal(NamedTuple):
    """Entries that belong together for good: those behind the seal before, up to the id `last_id`."""

    number: int  # from 1, without gaps
    last_id: int
    entries: int
    digest: bytes  # 32 bytes

    @property
    def document(self) -> dict[str, Any]:
        """As it is exported."""
        return {"seal": self.number, "lastId": self.last_id, "entries": self.entries, "digest": self.digest.hex()}


def sealed(before: Seal | None, entries: Sequence[Mapping[str, Any]]) -> Seal:
    """The seal of these entries, which follow the seal before; each has an `id`, and all come in its order."""
    digest = hashlib.sha256(before.digest if before else BEGINNING)
    for entry in entries:
        line = canonical(entry)
        digest.update(len(line).to_bytes(8, "big") + line)
    number, last_id = (before.number, before.last_id) if before else (0, 0)
    return Seal(number + 1, int(entries[-1]["id"]) if entries else last_id, len(entries), digest.digest())


def canonical(entry: Mapping[str, Any]) -> bytes:
    """The one way to write an entry: sorted names, no spaces, UTF-8."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def broken_seal(seals: Iterable[Seal], entries: Iterable[Mapping[str, Any]]) -> str | None:
    """What is wrong with the first seal that does not fit its entries; None where all fit.

    Entries behind the last seal are not sealed yet.
    """
    before, coming = None, iter(entries)
    entry = next(coming, None)
    for seal in seals:
        mine = []
        while entry is not None and int(entry["id"]) <= seal.last_id:
            mine.append(entry)
            entry = next(coming, None)
        expected = sealed(before, mine)
        if seal.number != expected.number:
            return f"seal {expected.number} is missing"
        if seal.entries != len(mine):
            return f"seal {seal.number} says {seal.entries} entries, there are {len(mine)}"
        if seal.digest != expected.digest:
            return f"an entry of seal {seal.number}, up to id {seal.last_id}, was changed"
        before = seal
    return None
