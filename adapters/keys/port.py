"""What is asked of whoever holds the master key: to wrap the customers' data keys, and to unwrap them.

The database has wrapped keys only. A file ring is here (`ring.py`); a KMS fits behind the same three calls, see
docs/privacy.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class CannotUnwrap(Exception):
    """The master key is not there, or the wrapped key is not what it has wrapped for this place."""


class Wrapped(NamedTuple):
    """A data key as it lies in the database: by which master key it was wrapped, and the result."""

    key_id: str
    wrapped: bytes


class Keys(Protocol):
    """The master keys. `bound` says whose key it is: one that was moved to another customer does not unwrap."""

    async def wrap(self, data_key: bytes, bound: str) -> Wrapped:
        """With the master key that is current."""
        ...

    async def unwrap(self, wrapped: Wrapped, bound: str) -> bytes:
        """The data key. Raises CannotUnwrap."""
        ...

    def older(self) -> Sequence[str]:
        """The ids of master keys that still unwrap and no longer wrap: what they wrapped is to be wrapped anew."""
        ...
