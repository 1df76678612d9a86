"""Ids that other systems give to customers, products and refunds: which of them this service takes."""

from __future__ import annotations

import re

ID_PATTERN = r"^[A-Za-z0-9._-]+$"
ID_LENGTH = 64

_ID = re.compile(r"[A-Za-z0-9._-]+")


def is_identifier(text: str) -> bool:
    """Whether `text` can be an id at all: 1 to 64 letters, digits, dots, dashes or underscores."""
    return len(text) <= ID_LENGTH and _ID.fullmatch(text) is not None
