"""How often somebody may ask: the rules, and what one process does with them, on buckets in memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from adapters.identities.secrets import Secret
from adapters.settings import Settings
from domain.errors import TooMany, Unavailable
from domain.identities import EVERYTHING, Kind, Principal, Role, Visible
from domain.rate_limits import Limit, Rate, limit_of, neighbourhood
from services.limits.buckets import Bucket
from services.limits.limiter import ASKED_AGAIN, Limiter
from services.limits.limits import LOOK_EVERY, Limits

FIVE_A_MINUTE = Rate(5, 60.0)
PLENTY = Rate(1000, 1.0)
ANNA = Principal("issuer", "anna", Kind.PERSON, frozenset({Role.CUSTOMER}), "c-1")
SHOP = Principal("issuer", "shop", Kind.SERVICE, frozenset({Role.SHOP}))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class BucketsInMemory:
    """The same algorithm as the statement's; `tests/services/test_limits.py` holds that to the same numbers."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.asked = clock, 0
        self.full_at: dict[tuple[Limit, str], float] = {}
        self.error: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def take(self, kind: Limit, key: str, rate: Rate, turns: int) -> Bucket:
        self.asked += 1
        await self.answers.wait()
        if self.error:
            raise self.error
        now = self.clock()
        ahead = max(self.full_at.get((kind, key), now) - now, 0.0)
        taken = min(turns, rate.left(ahead))
        if taken:
            self.full_at[kind, key] = now + ahead + taken * rate.interval
        return Bucket(taken, ahead + taken * rate.interval)

    async def empty(self, kind: Limit, rate: Rate) -> dict[str, float]:
        self.asked += 1
        await self.answers.wait()
        if self.error:
            raise self.error
        waits = {key: rate.wait(at - self.clock()) for (of, key), at in self.full_at.items() if of is kind}
        return {key: wait for key, wait in waits.items() if wait}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def buckets(clock: Clock) -> BucketsInMemory:
    return BucketsInMemory(clock)


@pytest.fixture
def limiter(buckets: BucketsInMemory, clock: Clock) -> Limiter:
    return Limiter(buckets, 60.0, clock, lambda error: isinstance(error, OSError))


@pytest.fixture
def limits(buckets: BucketsInMemory, limiter: Limiter, clock: Clock) -> Limits:
    return Limits(Settings().limits, buckets, limiter, Secret(SecretStr("a secret"), "limits"), clock)


async def passed(limiter: Limiter, rate: Rate, times: int, key: str = "anna") -> int:
    """How many of so many requests at once were let through."""
    answers = await asyncio.gather(
        *(limiter.take(Limit.WRITES, key, rate) for _ in range(times)), return_exceptions=True
    )
    assert all(isinstance(one, TooMany) for one in answers if isinstance(one, BaseException))
    return sum(not isinstance(one, BaseException) for one in answers)


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("GET", "/api/orders", Limit.READS),
        ("HEAD", "/healthz", Limit.READS),
        ("POST", "/api/orders", Limit.CHECKOUTS),
        ("POST", "/api/orders/1/payment", Limit.CHECKOUTS),
        ("POST", "/api/carts/1/checkout", Limit.CHECKOUTS),
        ("POST", "/api/orders/1/cancel", Limit.WRITES),
        ("PUT", "/api/orders", Limit.WRITES),
        ("DELETE", "/api/carts/1/coupon", Limit.WRITES),
    ],
)
def test_each_request_is_of_one_kind(method: str, path: str, limit: Limit) -> None:
    assert limit_of(method, path) is limit


def test_a_rate_is_written_as_people_say_it() -> None:
    assert (Rate.parse("5/min"), Rate.parse("3/s"), Rate.parse("5/h")) == (
        FIVE_A_MINUTE,
        Rate(3, 1.0),
        Rate(5, 3600.0),
    )
    for bad in ("5", "0/s", "5/d", "-1/s", "5/min ", ""):
        with pytest.raises(ValueError, match="a number per"):
            Rate.parse(bad)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::9", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("somewhere", "somewhere"),
    ],
)
def test_who_has_2_to_the_64_addresses_counts_once(address: str, counted: str) -> None:
    assert neighbourhood(address) == counted


def test_programs_may_do_what_no_person_does() -> None:
    """A shop's program sends the orders of all its customers."""
    plan = Settings().limits
    assert plan.rate_of(ANNA, Limit.CHECKOUTS) == Rate(30, 60.0)
    assert plan.rate_of(SHOP, Limit.CHECKOUTS) == Rate(1000, 1.0)


@pytest.mark.parametrize(
    "rate", [Rate(times, seconds) for times in (1, 5, 30, 600, 5000) for seconds in (1.0, 60.0, 3600.0)], ids=str
)
def test_what_a_process_takes_in_advance_comes_back_while_it_keeps_it(rate: Rate) -> None:
    """Else somebody who asks seldom would lose more than they get."""
    assert 1 <= rate.at_once <= max(1, rate.times // 20)
    assert rate.at_once == 1 or rate.at_once * rate.interval <= 10


async def test_of_200_at_once_five_pass(limiter: Limiter, buckets: BucketsInMemory) -> None:
    assert await passed(limiter, FIVE_A_MINUTE, 200) == 5
    assert buckets.asked == 6  # who is refused costs the database nothing
    assert await passed(limiter, FIVE_A_MINUTE, 200) == 0
    assert buckets.asked == 6


async def test_a_turn_comes_back_when_its_time_has_passed(limiter: Limiter, clock: Clock) -> None:
    await passed(limiter, FIVE_A_MINUTE, 6)
    with pytest.raises(TooMany) as refused:
        await limiter.take(Limit.WRITES, "anna", FIVE_A_MINUTE)
    assert (refused.value.code, refused.value.limit) == ("too_many_requests", 5)
    assert refused.value.retry_after == timedelta(seconds=12)
    assert await passed(limiter, FIVE_A_MINUTE, 5, "bert") == 5
    clock.now += 12.01
    assert await passed(limiter, FIVE_A_MINUTE, 5) == 1
    clock.now += 60
    assert await passed(limiter, FIVE_A_MINUTE, 9) == 5


async def test_a_program_costs_one_statement_for_fifty_requests(limiter: Limiter, buckets: BucketsInMemory) -> None:
    for _ in range(500):
        await limiter.take(Limit.CHECKOUTS, "shop", PLENTY)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert 10 <= buckets.asked <= 11


async def test_tells_what_is_left(limiter: Limiter, clock: Clock) -> None:
    standing = [await limiter.take(Limit.READS, "anna", FIVE_A_MINUTE) for _ in range(2)][-1]
    assert standing[:3] == (Limit.READS, 5, 3)
    assert standing.reset == pytest.approx(24)
    clock.now += 30
    assert (await limiter.take(Limit.READS, "anna", FIVE_A_MINUTE)).remaining == 4


@pytest.mark.parametrize(("error", "code"), [(RuntimeError(), "limits_away"), (OSError(), "database_away")])
async def test_a_failing_limiter_says_so_and_works_again_as_soon_as_it_can(
    limiter: Limiter, buckets: BucketsInMemory, error: Exception, code: str
) -> None:
    """Each asks twice, because the first may have had a dead connection."""
    buckets.error = error
    for _ in range(3):
        with pytest.raises(Unavailable) as refused:
            await limiter.take(Limit.WRITES, "anna", FIVE_A_MINUTE)
        assert refused.value.code == code
    assert buckets.asked == 6
    buckets.error = None
    assert await passed(limiter, FIVE_A_MINUTE, 9) == 5


async def test_a_slow_limiter_is_a_failing_one_and_loses_nothing(buckets: BucketsInMemory, clock: Clock) -> None:
    limiter = Limiter(buckets, 0.0, clock)
    buckets.answers.clear()
    with pytest.raises(Unavailable):
        await limiter.take(Limit.WRITES, "anna", FIVE_A_MINUTE)
    with pytest.raises(Unavailable):  # without waiting, nor asking
        await limiter.take(Limit.WRITES, "bert", FIVE_A_MINUTE)
    buckets.answers.set()
    for _ in range(5):
        await asyncio.sleep(0)
    clock.now += ASKED_AGAIN
    await limiter.take(Limit.WRITES, "anna", FIVE_A_MINUTE)
    assert buckets.asked == 1


async def test_turns_that_were_taken_before_it_failed_are_used(limiter: Limiter, buckets: BucketsInMemory) -> None:
    await limiter.take(Limit.CHECKOUTS, "shop", PLENTY)
    buckets.error = RuntimeError()
    for _ in range(49):
        await limiter.take(Limit.CHECKOUTS, "shop", PLENTY)


async def test_a_customers_wishes_do_not_keep_the_shop_from_canceling(limits: Limits) -> None:
    own = Visible("c-1")
    for _ in range(5):
        await limits.cancel("o-1", own)
    with pytest.raises(TooMany, match="too many cancels"):
        await limits.cancel("o-1", own)
    await limits.cancel("o-1", EVERYTHING)
    await limits.cancel("o-2", own)


async def test_after_five_declined_cards_no_further_one_is_tried(limits: Limits, clock: Clock) -> None:
    for _ in range(5):
        await limits.require_card_tries("c-1", "192.0.2.1")
        await limits.count_decline("c-1", "192.0.2.1")
    with pytest.raises(TooMany) as refused:
        await limits.require_card_tries("c-1", None)
    assert refused.value.code == "too_many_declines"
    assert refused.value.retry_after == timedelta(minutes=12)
    with pytest.raises(TooMany):  # another customer, the same address
        await limits.require_card_tries("c-2", "192.0.2.1")
    await limits.require_card_tries("c-2", None)
    clock.now += 12 * 60 + 1
    await limits.require_card_tries("c-1", "192.0.2.1")


async def test_what_another_process_has_counted_is_known_within_a_second(
    limits: Limits, buckets: BucketsInMemory, limiter: Limiter, clock: Clock
) -> None:
    other = Limits(Settings().limits, buckets, limiter, Secret(SecretStr("a secret"), "limits"), clock)
    await other.require_card_tries("c-1", None)
    for _ in range(5):
        await limits.count_decline("c-1", None)
    asked = buckets.asked
    await other.require_card_tries("c-1", None)
    assert buckets.asked == asked
    clock.now += LOOK_EVERY
    with pytest.raises(TooMany):
        await other.require_card_tries("c-1", None)


async def test_where_declines_cannot_be_counted_the_answer_goes_out(limits: Limits, buckets: BucketsInMemory) -> None:
    buckets.error = RuntimeError()
    await limits.count_decline("c-1", None)
    with pytest.raises(Unavailable):
        await limits.require_card_tries("c-1", None)


async def test_the_table_holds_no_names(limits: Limits, buckets: BucketsInMemory) -> None:
    await limits.request(ANNA, Limit.READS)
    await limits.failed_login("192.0.2.1")
    assert len(buckets.full_at) == 2
    assert not [key for _, key in buckets.full_at if "anna" in key or "192" in key or len(key) != 32]
