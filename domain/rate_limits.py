"""How often somebody may ask for what: pure rules. How much one order may hold is in `limits.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import NamedTuple, Self

from domain.identities import Principal, Role

AT_ONCE = 50
"""Turns at most that a process takes for itself in advance, so that most requests cost no statement."""

SHARE = 20
"""A process takes this part of a limit at most, so that several of them can share it."""

KEPT_FOR = 10.0
"""Seconds in which a process uses what it has taken; then the rest is lost to everybody."""

PATTERN = r"^[1-9][0-9]{0,6}/(s|min|h)$"
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_WRITTEN = re.compile(PATTERN)


class Limit(StrEnum):
    """What is limited; each has a bucket for each who."""

    READS = "reads"  # by principal
    WRITES = "writes"  # by principal
    CHECKOUTS = "checkouts"  # by principal; other payment methods included
    CANCELS = "cancels"  # by order, the customer's and everybody else's apart
    DECLINES = "declines"  # by customer, and by the address of a customer's client
    LOGINS = "failed logins"  # by address


class Rate(NamedTuple):
    """So many in so many seconds: all at once, and after that one each time a part of the seconds has passed.

    This is the generic cell rate algorithm (GCRA, ITU-T I.371).
    """

    times: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `600/min`; also `/s` and `/h`. Raises ValueError."""
        if not _WRITTEN.fullmatch(text):
            raise ValueError("must be a number per s, min or h, like 600/min")
        times, _, unit = text.partition("/")
        return cls(int(times), _SECONDS[unit])

    @property
    def interval(self) -> float:
        """Seconds from one turn to the next, for who uses all of them."""
        return self.seconds / self.times

    @property
    def at_once(self) -> int:
        """How many turns a process takes in advance; never more than come back while it keeps them."""
        return max(1, min(AT_ONCE, self.times // SHARE, int(KEPT_FOR / self.interval)))

    def left(self, ahead: float) -> int:
        """The turns of a bucket that is full again in `ahead` seconds."""
        return max(0, int(self.times - ahead / self.interval + 0.001))  # times are kept in whole microseconds

    def wait(self, ahead: float) -> float:
        """Seconds until that bucket has a turn; 0 where it has one."""
        return max(0.0, ahead - (self.times - 1) * self.interval)


class Plan(NamedTuple):
    """All limits. People who order for themselves have others than the shop's programs and staff."""

    of_customers: Mapping[Limit, Rate]
    of_others: Mapping[Limit, Rate]
    cancels: Rate
    declines: Rate
    logins: Rate

    def rate_of(self, principal: Principal, kind: Limit) -> Rate:
        """How often this principal may send requests of this kind."""
        human = principal.roles <= {Role.CUSTOMER}
        return (self.of_customers if human else self.of_others)[kind]


class Standing(NamedTuple):
    """What somebody has left of a limit."""

    kind: Limit
    limit: int
    remaining: int
    reset: float  # seconds until all of it is there again


def neighbourhood(address: str) -> str:
    """What counts as one address: of IPv6 the 64 bits that one customer of a provider has at least."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


_SAFE = frozenset(["GET", "HEAD", "OPTIONS"])
_PAYING = re.compile(r"/api/(orders(/[^/]+/payment)?|carts/[^/]+/checkout)")


def limit_of(method: str, path: str) -> Limit:
    """What kind of request it is."""
    if method in _SAFE:
        return Limit.READS
    return Limit.CHECKOUTS if method == "POST" and _PAYING.fullmatch(path) else Limit.WRITES
