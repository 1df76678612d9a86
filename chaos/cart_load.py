"""Customers and guests with carts: they add, change, merge and check out as careful clients, and write it all down.

Each client has carts of its own, so that it knows what is in them; what it was not told of, it asks for again by the
same key. Prices and stock change meanwhile.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from temporalio.client import Client

from chaos.journal import Journal
from chaos.load import GaveUp, Shop

PRODUCTS = [f"cart-{number}" for number in range(20)]
ON_HAND = 1_000_000
COUPON = "CART10"
COUPON_USES, COUPON_EACH = 20, 2
CARDS = {"pm_card_visa": 9, "pm_card_visa_chargeDeclinedStolenCard": 1}
"""How often each is used; with a stolen one the order is rejected, and the cart comes back."""
PRICE = 1000  # minor units, at the beginning
CHANGE_EVERY = 0.5  # seconds between two changes of a price or of a stock
OPENING = 40  # carts that are opened at a time


class CartShop(Shop):
    """The shop's carts. `seconds` holds how long each kind of request took, those that were repeated included."""

    def __init__(
        self, api: str, stripe: str, connect: Callable[[], Awaitable[Client]], journal: Journal, who: httpx.Auth
    ) -> None:
        super().__init__(api, stripe, connect, journal, who)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.told: Counter[str] = Counter()

    async def open_carts(self, seed: int, carts: int, clients: int) -> "list[list[Owner]]":
        """For each client its owners: half of the carts are customers', half guests', with one product in each."""
        products = [{"productId": one, "name": "Lamp", "price": "10.00", "onHand": ON_HAND} for one in PRODUCTS]
        for product in products:
            await self.send("POST", "/api/products", product)
        promotion = {"promotionId": "cart10", "name": "10 % off", "kind": "percent", "value": "10"}
        await self.send("POST", "/api/promotions", promotion)
        coupon = {"code": COUPON, "promotionId": "cart10", "usageLimit": COUPON_USES, "perCustomer": COUPON_EACH}
        await self.send("POST", "/api/coupons", coupon)
        draw = random.Random(f"carts {seed}")
        owners = [Owner(self, f"cart-customer-{number}", draw.getrandbits(32)) for number in range(carts // 2)]
        for begin in range(0, len(owners), OPENING):
            await asyncio.gather(*(one.begin() for one in owners[begin : begin + OPENING]))
        return [owners[number::clients] for number in range(clients)]

    async def play(self, owners: "list[Owner]", until: float, seed: int) -> None:
        """One client, from one of its owners to the next."""
        draw = random.Random(f"client {seed}")
        while time.monotonic() < until:
            try:
                await draw.choice(owners).act()
            except GaveUp:
                self.gave_up += 1

    async def keep_shop(self, until: float, seed: int) -> None:
        """Changes prices and stock, never below what orders hold."""
        draw = random.Random(f"shop {seed}")
        while time.monotonic() < until:
            product = draw.choice(PRODUCTS)
            price = {"price": f"{draw.randint(900, 1100) / 100:.2f}"}
            await self.send("PATCH", f"/api/products/{product}", price)
            await self.send("POST", f"/inventory/{product}/update", {"onHand": ON_HAND + draw.randint(0, 1000)})
            await asyncio.sleep(CHANGE_EVERY)

    async def send(
        self, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None, kind: str = "other"
    ) -> httpx.Response:
        """The answer, after as many tries as it needs."""
        began = time.monotonic()
        answer = await self._request(method, path, body, {"Idempotency-Key": key} if key else None)
        self.seconds[kind].append(time.monotonic() - began)
        self.told[f"{kind} {answer.status_code}"] += 1
        return answer

    def note(self, kind: str, **fields: Any) -> None:
        """Writes down what the shop has promised."""
        self._journal.write(kind, **fields)


class Owner:
    """A customer, and a guest's cart that becomes theirs. Acts for one owner follow each other."""

    def __init__(self, shop: CartShop, customer: str, seed: int) -> None:
        self._shop, self._customer, self._draw = shop, customer, random.Random(seed)
        self._guest: str | None = None
        self._busy = asyncio.Lock()
        self._number = 0

    async def begin(self) -> None:
        """One piece in the customer's cart, one in a guest's."""
        email = f"{self._customer}@example.com"
        await self._shop.send("POST", "/api/customers", {"customerId": self._customer, "name": "C", "email": email})
        await self._add(self._draw.choice(PRODUCTS), 1)
        await self._new_guest()

    async def act(self) -> None:
        """Something that customers do."""
        async with self._busy:
            acts = (self._add_some, self._set_guests, self._remove_some, self._merge, self._check_out)
            await self._draw.choices(acts, (50, 15, 10, 5, 20))[0]()

    def _key(self) -> str:
        self._number += 1
        return f"{self._customer}-{self._number}"

    async def _add_some(self) -> None:
        await self._add(self._draw.choice(PRODUCTS), self._draw.randint(1, 3))

    async def _add(self, product: str, pieces: int) -> None:
        body = {"productId": product, "quantity": pieces}
        answer = await self._shop.send("POST", f"/cart/{self._customer}/add", body, self._key(), "add")
        if answer.is_success:
            self._shop.note("pieces", owner=self._customer, productId=product, change=pieces)

    async def _remove_some(self) -> None:
        """A piece of which there are several, so that exactly one goes."""
        cart = (await self._shop.send("GET", f"/cart/{self._customer}", kind="read")).json()
        several = [item["productId"] for item in cart["items"] if item["quantity"] > 1]
        if not several:
            return
        path = f"/cart/{self._customer}/remove?productId={several[0]}&quantity=1"
        if (await self._shop.send("DELETE", path, None, self._key(), "remove")).is_success:
            self._shop.note("pieces", owner=self._customer, productId=several[0], change=-1)

    async def _new_guest(self) -> None:
        self._guest = str((await self._shop.send("POST", "/api/carts", {}, kind="open")).json()["cartId"])
        await self._set_guests()

    async def _set_guests(self) -> None:
        """A guest's cart is nobody else's: what was there before is known."""
        cart = (await self._shop.send("GET", f"/api/carts/{self._guest}", kind="read")).json()
        before = {item["productId"]: item["quantity"] for item in cart["items"]}
        product, pieces = self._draw.choice(PRODUCTS), self._draw.randint(1, 5)
        path = f"/api/carts/{self._guest}/lines/{product}"
        if (await self._shop.send("PUT", path, {"quantity": pieces}, self._key(), "set")).is_success:
            change = pieces - before.get(product, 0)
            self._shop.note("pieces", owner=self._guest, productId=product, change=change)

    async def _merge(self) -> None:
        mine = (await self._shop.send("POST", "/api/carts", {"customerId": self._customer}, kind="open")).json()
        path, guest = f"/api/carts/{mine['cartId']}/merge", self._guest
        if (await self._shop.send("POST", path, {"from": guest}, kind="merge")).is_success:
            self._shop.note("merged", guest=guest, customer=self._customer)
            await self._new_guest()

    async def _check_out(self) -> None:
        """For the total that the cart shows; another one, or a coupon that others had first, is a reason to look."""
        cart = (await self._shop.send("GET", f"/cart/{self._customer}", kind="read")).json()
        if not cart["items"]:
            return
        path = f"/api/carts/{cart['cartId']}"
        if self._draw.random() < 0.3:
            answer = await self._shop.send("PUT", f"{path}/coupon", {"code": COUPON}, kind="coupon")
            cart = answer.json() if answer.is_success else cart
        card = self._draw.choices([*CARDS], [*CARDS.values()])[0]
        wanted = {"paymentMethod": card, "expectedTotal": cart["total"]}
        answer = await self._shop.send("POST", f"{path}/checkout", wanted, self._key(), "checkout")
        told, total = answer.json(), round(float(cart["total"]) * 100)
        self._shop.note(
            "checkout", cartId=cart["cartId"], status=answer.status_code, orderId=told.get("orderId"), total=total
        )
        if told.get("code", "").startswith("coupon_"):
            await self._shop.send("DELETE", f"{path}/coupon", kind="coupon")
