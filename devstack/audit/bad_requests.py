"""Requests that no client of ours sends, by the thousand: the same ones for the same seed.

Each is refused. Some are junk, some are nearly right, and some are made to be as dear to refuse as can be.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

LARGEST = 256 * 1024  # bytes of a body that is read
ORDER = "0" * 32
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
CARD = "4242 4242 4242 4242"
WORDS = ["", "é" * 40, "\u202ereversed", "\x1b[31m", CARD, "1e999", "' OR 1=1 --", "a" * 5000, "\u0000"]
NUMBERS = [0, -1, 10**30, 1.5e300, 2**63, 0.1]

TAKES_BODY = [
    ("POST", "/api/orders"),
    ("POST", f"/api/orders/{ORDER}/payment"),
    ("POST", f"/api/orders/{ORDER}/refunds"),
    ("POST", f"/api/carts/{ORDER}/lines"),
    ("POST", f"/api/carts/{ORDER}/checkout"),
    ("PUT", f"/api/carts/{ORDER}/coupon"),
    ("POST", "/api/customers"),
    ("POST", "/api/products"),
    ("PATCH", "/api/products/p-1"),
    ("POST", "/api/promotions"),
    ("POST", "/api/coupons"),
    ("POST", "/api/rates"),
    ("POST", "/api/repairs/1/resolve"),
    ("POST", "/api/webhook-endpoints"),
    ("POST", "/api/events/replays"),
    ("POST", "/webhooks/stripe"),
    ("POST", "/webhooks/carrier"),
]
LISTS = ["/api/orders", "/api/carts", "/api/repairs", "/api/products", "/api/customers", "/api/audit"]


class BadRequest(NamedTuple):
    """A request, with headers beside those that every one has."""

    method: str
    path: str
    headers: Mapping[str, str] = NO_HEADERS
    body: bytes = b""

    @property
    def name(self) -> str:
        """Short, for people."""
        return f"{self.method} {self.path[:60]} {sorted(self.headers)} {self.body[:50]!r} ({len(self.body)} bytes)"


def bad_requests(seed: int, count: int) -> list[BadRequest]:
    """So many; the dearest that we know of come first."""
    return list(islice(_all(random.Random(seed)), count))


def _all(chance: random.Random) -> Iterator[BadRequest]:
    yield from _dearest()
    kinds = (_junk, _junk, _nearly, _nearly, _cut, _query, _path, _header)
    while True:
        yield chance.choice(kinds)(chance)


def _dearest() -> Iterator[BadRequest]:
    documents: list[Any] = [
        {"items": [{f"f{n}": 1 for n in range(2)}] * 450},
        {f"f{n}": 1 for n in range(1590)},
        {"items": [[]] * 1590},
        {"customerId": "a" * 250_000},
        {"metadata": {f"m{n}": 1 for n in range(1500)}},
        {"metadata": {f"m{n}": CARD * 10 for n in range(1000)}},
        {CARD + str(n): n for n in range(100)},
        {f"{n}": n for n in range(99)} | {"items": [{"a": 1, "b": 1}] * 450},
        {"metadata": {f"{n}": CARD * 25 for n in range(20)}, "a": 1},
        {"metadata": {f"{n}": "4 2 " * 125 for n in range(20)}, "a": 1},
        {"metadata": {f"{n}": "4242\u00a0.-" * 70 for n in range(20)}, "a": 1},
        {"items": [{"productId": CARD, "quantity": "x" * 100}] * 700},
        {"reason": (CARD + "\u00a0.") * 9000},
        {"shippingAddress": {f"\u202e{n}": "\u202e" * 100 for n in range(700)}},
        [[[[[]]]] * 300],
    ]
    bodies = [json.dumps(one).encode() for one in documents]
    bodies += [b"[" * 200_000, b'{"a":' * 40_000, b"1" * 250_000, b"," * 250_000, b'"' + b"\\u0041" * 40_000 + b'"']
    bodies += [b'{"a": 1, ' * 1000, b'{"x":' + b"[1," * 700 + b"1" + b"]" * 700 + b"}", b'"' + b"\xc3\xa9" * 120_000]
    rates = [{"taxRates": [{"a": 1}] * 9000}, {"shippingRates": [{}] * 3_900}, {"taxRates": [{"a": 1}] * 1900}]
    yield from (BadRequest("POST", "/api/rates", NO_HEADERS, json.dumps(one).encode()) for one in rates)
    for method, path in TAKES_BODY:
        for body in bodies:
            yield BadRequest(method, path, NO_HEADERS, body[:LARGEST])
    yield BadRequest("GET", "/api/orders?" + "&".join(f"a{n}={n}" for n in range(100)))
    yield BadRequest("GET", "/api/orders?" + "&".join(f"{'%41' * 80}{n}=" for n in range(100)))
    yield BadRequest("GET", f"/api/orders?cursor={'A' * 20_000}")
    yield BadRequest("GET", "/api/orders", {f"X-{n}": "a" * 250 for n in range(90)})
    yield BadRequest("POST", "/api/orders", {"Idempotency-Key": "k" * 20_000}, b"{}")


def _value(chance: random.Random, depth: int = 0) -> Any:
    match chance.choice(("text", "number", "list", "object") if depth < 4 else ("text", "number")):
        case "text":
            letters = chance.choice((string.printable, "0123456789 -.", "éü\u00a0\u202e"))
            noise = "".join(chance.choices(letters, k=chance.choice((10, 3000))))
            return chance.choice((chance.choice(WORDS), noise))
        case "number":
            return chance.choice(NUMBERS)
        case "list":
            return [_value(chance, depth + 1) for _ in range(chance.choice((0, 3, 12)))]
        case _:
            return {_field(chance): _value(chance, depth + 1) for _ in range(chance.choice((0, 3, 12)))}


def _field(chance: random.Random) -> str:
    known = ("customerId", "items", "productId", "quantity", "metadata", "reason", "amount", "name", "code")
    return chance.choice(known) if chance.random() < 0.5 else f"f{chance.randrange(1000)}"


def _junk(chance: random.Random) -> BadRequest:
    method, path = chance.choice(TAKES_BODY)
    document = [_value(chance)] if chance.random() < 0.5 else {"unknown": _value(chance)}
    return BadRequest(method, path, NO_HEADERS, json.dumps(document).encode()[:LARGEST])


def _nearly(chance: random.Random) -> BadRequest:
    """An order with one thing, or a hundred, that cannot be."""
    items: list[Any] = [{"productId": f"p-{n}", "quantity": 1} for n in range(chance.choice((1, 5, 500, 700)))]
    for _ in range(chance.choice((1, 100))):
        chance.choice(items)[_field(chance)] = chance.choice((_value(chance, 3), chance.choice(NUMBERS)))
    order = {"customerId": "c-1", "items": items, "paymentMethod": "pm_card_visa", "price": 1}
    order[_field(chance)] = _value(chance, 2)
    return BadRequest("POST", "/api/orders", NO_HEADERS, json.dumps(order).encode()[:LARGEST])


def _cut(chance: random.Random) -> BadRequest:
    """A body that ends too early, or in another encoding."""
    whole = _nearly(chance)
    other = chance.choice((whole.body.decode().encode("utf-16"), whole.body[: -chance.randint(1, 9)]))
    return whole._replace(body=other[:LARGEST])


def _query(chance: random.Random) -> BadRequest:
    names = ("cursor", "limit", "status", "from", "customerId", "after", "x")
    count = chance.choice((1, 5, 90))
    given = [f"{chance.choice(names)}={quote(str(_value(chance, 4))[:200])}" for _ in range(count)]
    return BadRequest("GET", f"{chance.choice(LISTS)}?unknown=1&limit=-1&cursor=%FF&" + "&".join(given))


def _path(chance: random.Random) -> BadRequest:
    deep = "/".join(quote(str(_value(chance, 4))[:100], safe="") for _ in range(chance.choice((1, 2, 30))))
    return BadRequest(chance.choice(("DELETE", "BREW", "PUT")), f"/api/orders/{deep}"[:8000])


def _header(chance: random.Random) -> BadRequest:
    noise = "".join(chance.choices(string.ascii_letters + string.digits + "._-", k=chance.choice((10, 8000))))
    named = {
        "Authorization": f"Bearer {noise}",
        "If-Match": noise,
        "Idempotency-Key": noise * 2,
        "Stripe-Signature": f"t=1,{'v1=00,' * 500}",
        "Origin": f"https://{noise[:200]}",
        "Host": noise[:200],
        "Content-Type": noise[:200],
    }
    name = chance.choice(sorted(named))
    method, path = chance.choice(TAKES_BODY)
    return BadRequest(method, path, {name: named[name]}, json.dumps({"unknown": 1}).encode())
