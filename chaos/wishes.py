"""What the customers of a run will do, drawn from a seed before it begins."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CUSTOMERS = 20
PLENTY, HOT = 40, 4  # products with more than enough stock, and those that run out
PLENTY_ON_HAND = 100_000
HOT_SHARE = 0.02  # of the orders: that many pieces of a hot product are there
CANCEL_LATEST = 8.0  # seconds after the checkout's answer
PATIENCE_AT_BANK = (1.0, 5.0)  # seconds until a customer who never authenticates gives up

DECLINED = (
    "pm_card_visa_chargeDeclined",
    "pm_card_visa_chargeDeclinedInsufficientFunds",
    "pm_card_chargeDeclinedExpiredCard",
    "pm_card_visa_chargeDeclinedLostCard",
)
ASKS = ("pm_card_authenticationRequired", "pm_card_threeDSecure2Required")
GOOD = ("pm_card_visa", "pm_card_mastercard", "pm_card_amex")


class Course(StrEnum):
    """What the customer has in mind."""

    GOOD = "good"
    DECLINED = "declined card"
    HOT = "hot product"
    AUTHENTICATES = "3-D Secure, completed"
    FAILS_AT_BANK = "3-D Secure, failed"
    LEAVES_BANK = "3-D Secure, given up and canceled"
    ABANDONS = "3-D Secure, abandoned"
    CANCELS = "canceled through the API"
    SIGNALED = "canceled by a signal"


AT_BANK = frozenset([Course.AUTHENTICATES, Course.FAILS_AT_BANK, Course.LEAVES_BANK, Course.ABANDONS])

MIX = {
    Course.GOOD: 45,
    Course.DECLINED: 10,
    Course.HOT: 12,
    Course.AUTHENTICATES: 7,
    Course.FAILS_AT_BANK: 2,
    Course.LEAVES_BANK: 2,
    Course.ABANDONS: 2,
    Course.CANCELS: 12,
    Course.SIGNALED: 8,
}
"""In percent."""


@dataclass(frozen=True)
class Wish:
    """One order to come. Times are in seconds."""

    key: str
    at: float  # from the beginning
    course: Course
    body: dict[str, Any]
    wait: float = 0.0  # until a cancel, or until the customer gives the bank up


@dataclass(frozen=True)
class Product:
    product_id: str
    price: str
    on_hand: int


def catalogue(orders: int) -> list[Product]:
    plenty = [Product(f"plenty-{number}", f"{5 + number}.{number:02d}", PLENTY_ON_HAND) for number in range(PLENTY)]
    pieces = max(1, round(orders * HOT_SHARE))
    return plenty + [Product(f"hot-{number}", "49.90", pieces) for number in range(HOT)]


def customers() -> list[str]:
    return [f"customer-{number}" for number in range(CUSTOMERS)]


def wishes(seed: int, orders: int, seconds: float, mix: Mapping[Course, int] = MIX) -> list[Wish]:
    """The same for the same arguments, spread over the seconds, in the order of their times."""
    draw = random.Random(f"wishes {seed}")
    times = sorted(draw.uniform(0.0, seconds) for _ in range(orders))
    return [_wish(draw, mix, f"{seed}-{number}-{draw.getrandbits(64):016x}", at) for number, at in enumerate(times)]


def _wish(draw: random.Random, mix: Mapping[Course, int], key: str, at: float) -> Wish:
    course = draw.choices(list(mix), list(mix.values()))[0]
    stock = [f"plenty-{number}" for number in draw.sample(range(PLENTY), draw.choice((1, 1, 2, 3)))]
    if course is Course.HOT:
        stock[-1] = f"hot-{draw.randrange(HOT)}"
    body = {
        "customerId": draw.choice(customers()),
        "items": [{"productId": product, "quantity": draw.randint(1, 3)} for product in stock],
        "paymentMethod": draw.choice(_cards(course)),
    }
    return Wish(key, at, course, body, _wait(draw, course))


def _cards(course: Course) -> tuple[str, ...]:
    if course is Course.DECLINED:
        return DECLINED
    return ASKS if course in AT_BANK else GOOD


def _wait(draw: random.Random, course: Course) -> float:
    if course is Course.LEAVES_BANK:
        return draw.uniform(*PATIENCE_AT_BANK)
    # Half of the cancels meet the first steps, which take a tenth of a second; the others any later state.
    early = draw.random() < 0.5
    return min(draw.expovariate(10.0), 1.0) if early else draw.uniform(0.0, CANCEL_LATEST)
