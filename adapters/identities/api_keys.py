"""What an API key looks like: `os_<id>_<secret><checksum>`. The checksum tells a typing error."""

from __future__ import annotations

import re
import zlib
from datetime import timedelta
from typing import NamedTuple

PREFIX = "os_"
LONGEST_LIFE = timedelta(days=366)
AT_A_TIME = 2  # of one owner: the old one and the new one, while a program is changed over

_FORM = re.compile(r"os_([0-9a-f]{12})_([0-9a-f]{64})([0-9a-f]{8})", re.ASCII)


class KeyParts(NamedTuple):
    """What a key is made of; the id is no secret."""

    key_id: str  # 12 hex digits
    secret: str  # 256 bits as 64 hex digits


def compose(parts: KeyParts) -> str:
    """The key as its program sends it."""
    beginning = f"{PREFIX}{parts.key_id}_{parts.secret}"
    return f"{beginning}{_checksum(beginning)}"


def parse(key: str) -> KeyParts | None:
    """The parts of a key; None for what is none, or was typed wrongly."""
    found = _FORM.fullmatch(key)
    if found is None or _checksum(key[:-8]) != found[3]:
        return None
    return KeyParts(found[1], found[2])


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
