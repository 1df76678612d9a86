"""Where webhooks of merchants may go: a URL that somebody else has chosen must not lead into our own network.

https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html. A name says
nothing about its addresses, so these are judged when they are connected to (`adapters/webhooks/sender.py`).
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from domain.errors import bad_fields

MOST_CHARACTERS = 2000
LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa")
"""Names, and ends of names, that mean something else in every network."""

SPECIAL_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
"""https://www.iana.org/assignments/iana-ipv4-special-registry and multicast, whatever version of Python."""

GLOBAL_UNICAST = IPv6Network("2000::/3")
SPECIAL_6 = tuple(IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
"""What is no address of a host in there: documentation, and tunnels (Teredo, 6to4) to some IPv4 address."""

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached

_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet; False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return _is_public_4(found) if isinstance(found, IPv4Address) else _is_public_6(found)


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in SPECIAL_4)


def _is_public_6(address: IPv6Address) -> bool:
    if address.scope_id is not None:
        return False
    if address in NAT64:
        return _is_public_4(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in GLOBAL_UNICAST and not any(address in network for network in SPECIAL_6)


def check_url(url: str, *, private: bool) -> None:
    """Refuses a URL that no webhook may go to: raises InvalidInput, which names the field `url`.

    `private` is for development: http, and addresses of this machine and of private networks.
    """
    fault = _fault_of(url, private=private)
    if fault is not None:
        raise bad_fields({"url": fault})


def _fault_of(url: str, *, private: bool) -> str | None:
    if len(url) > MOST_CHARACTERS:
        return f"at most {MOST_CHARACTERS} characters"
    if not _PRINTABLE.fullmatch(url) or "\\" in url:
        return "only printable ASCII characters; others are escaped, and names written as Punycode"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "an address like https://shop.example/webhooks is needed"
    if parts.scheme == "http" and not private:
        return "https is needed: webhooks tell of orders"
    if "@" in parts.netloc:
        return "without user and password: the signature says who has sent it"
    if parts.fragment or "#" in url:
        return "without a fragment, which is never sent"
    return "port 0 cannot be reached" if port == 0 else _fault_of_host(parts, private=private)


def _fault_of_host(parts: SplitResult, *, private: bool) -> str | None:
    host = (parts.hostname or "").removesuffix(".")
    if is_literal(host):
        try:
            ip_address(host)
        except ValueError:
            return "an IP address is written as four decimal numbers, or in brackets as IPv6"
        return None if private or is_public(host) else "only public addresses can be reached"
    if not _NAME.fullmatch(host):
        return "not the name of a host"
    if private:
        return None
    if "." not in host or host.endswith(tuple(f".{name}" for name in LOCAL_NAMES)):
        return "only names of the internet can be reached"
    return None


def is_literal(host: str) -> bool:
    """Whether a host is read as an IP address: also `2130706433` or `0x7f.1` are, by what resolves names.

    https://url.spec.whatwg.org/#ends-in-a-number-checker
    """
    return ":" in host or _NUMBER.fullmatch(host.rpartition(".")[2]) is not None
