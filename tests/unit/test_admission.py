"""How many checkouts an API process takes on: with a clock that the test moves, and rows that it names."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import ExitStack

import pytest

from api.orders.admission import LEAST, LOCAL_ATTEMPT, LOOK_EVERY, PROBES, Admission, Checkout, Shed, Turn
from domain.errors import Unavailable
from domain.order_states import OrderStatus

MOST, LONGEST = 4, 10.0


class Scene:
    """An admission, its clock, and the orders that workers have taken."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.taken: set[str] = set()
        self.asked: list[set[str]] = []
        self.shed: list[Shed] = []
        self.database_is_away = False
        self.open = ExitStack()
        self.admission = Admission(
            self._look,
            most=MOST,
            longest=LONGEST,
            connections=4,
            shed=self.shed.append,
            clock=lambda: self.now,
            longest_line=0.3,
        )

    async def _look(self, order_ids: Collection[str]) -> set[str]:
        self.asked.append(set(order_ids))
        if self.database_is_away:
            raise OSError
        return self.taken & set(order_ids)

    async def too_many(self, after: float = LOOK_EVERY) -> Shed | None:
        """What the next checkout hears, `after` seconds later."""
        self.now += after
        return await self.admission.too_many()

    def begin(self, order_id: str) -> Checkout:
        """A checkout that goes on until the scene ends."""
        return self.open.enter_context(self.admission.take_on(order_id))

    def begin_probes(self, number: int = PROBES) -> None:
        """As many as find out whether workers are back."""
        for one in range(number):
            self.begin(f"probe {one}")

    def pending(self, order_id: str) -> None:
        """A checkout that was answered "pending" just now."""
        with self.admission.take_on(order_id) as checkout:
            self.admission.pending(checkout)


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_takes_on_no_more_than_so_many_at_a_time(scene: Scene) -> None:
    """Each that ends makes room for one."""
    with scene.admission.take_on("first"):
        scene.begin("second")
        assert await scene.too_many() is None
        scene.begin("third")
        assert await scene.too_many() is None
        scene.begin("fourth")
        assert await scene.too_many() is Shed.IN_FLIGHT
        assert scene.admission.in_flight == MOST
    assert await scene.too_many() is None


async def test_a_refusal_is_counted_and_says_that_nothing_was_stored(scene: Scene) -> None:
    """Unavailable with a stable code: it is worth to come again."""
    refusal = scene.admission.refusal(Shed.WAITING)
    assert isinstance(refusal, Unavailable)
    assert refusal.code == "overloaded"
    assert "nothing was stored" in refusal.detail
    assert scene.shed == [Shed.WAITING]


async def test_takes_on_fewer_when_orders_wait_for_a_worker(scene: Scene) -> None:
    """Cut once for all that were in flight together, by how long they waited, and never below the least."""
    admission = Admission(scene._look, most=40, longest=LONGEST, clock=lambda: scene.now)

    def answered_after(seconds: float, elsewhere: float = 0.0, at_once: int = 1) -> int:
        scene.now += 0.1
        with ExitStack() as open_:
            checkouts = [open_.enter_context(admission.take_on(str(number))) for number in range(at_once)]
            scene.now += seconds
            for checkout in checkouts:
                admission.taken(checkout, elsewhere)
        return admission.limit

    assert answered_after(1.0, at_once=30) == 40
    assert answered_after(8.0, elsewhere=7.5, at_once=30) == 40
    assert answered_after(1.25, at_once=30) == 32
    assert answered_after(8.0) == 16
    assert [answered_after(8.0) for _ in range(3)] == [8, LEAST, LEAST]
    assert answered_after(0.1, at_once=6) == LEAST + 1
    assert answered_after(0.1, at_once=2000) == 40


async def test_an_order_that_no_worker_takes_closes_the_door_to_all_but_a_few(scene: Scene) -> None:
    """Below the bound all is as before; beyond it a few at a time find out whether workers are back."""
    scene.pending("waits")
    scene.begin_probes()
    assert await scene.too_many(LONGEST - 1) is None
    assert await scene.too_many(2) is Shed.WAITING
    scene.open.close()
    assert await scene.too_many() is None


async def test_opens_as_soon_as_a_worker_has_taken_the_order(scene: Scene) -> None:
    """Seen at the next look, half a second later at most."""
    scene.pending("waits")
    scene.begin_probes()
    assert await scene.too_many(LONGEST + 1) is Shed.WAITING
    scene.taken.add("waits")
    assert await scene.too_many(LOOK_EVERY / 5) is Shed.WAITING
    assert await scene.too_many() is None


async def test_an_order_that_waits_for_somebody_else_never_counts(scene: Scene) -> None:
    """It left PLACED: it waits for its customer or for Stripe, and no look says otherwise."""
    scene.taken.add("at Stripe")
    scene.pending("at Stripe")
    scene.begin_probes()
    assert await scene.too_many(LONGEST + 1) is None
    assert await scene.too_many(1000) is None


async def test_an_order_that_others_overtook_closes_nothing(scene: Scene) -> None:
    """One that stands still for a reason of its own must not shut the shop."""
    scene.pending("stands still")
    assert await scene.too_many(LONGEST + 1) is None
    scene.begin_probes(PROBES - 1)
    with scene.admission.take_on("later") as checkout:
        assert await scene.too_many() is Shed.WAITING
        scene.admission.taken(checkout, elsewhere=0.0)
        assert await scene.too_many() is None


async def test_checkouts_that_wait_for_stripe_make_room(scene: Scene) -> None:
    """Their orders are RESERVED and older than a worker's first attempt; one that is PLACED keeps its place."""
    for order_id in ("first", "second", "third", "fourth"):
        scene.begin(order_id)
    scene.taken |= {"first", "second"}
    assert await scene.too_many(LOCAL_ATTEMPT - 1) is Shed.IN_FLIGHT
    assert await scene.too_many(2) is None
    scene.begin("fifth")
    scene.begin("sixth")
    assert await scene.too_many() is Shed.IN_FLIGHT
    assert scene.admission.in_flight == 6


async def test_a_repeat_of_an_order_that_is_carried_on_is_answered_from_its_row(scene: Scene) -> None:
    """A worker has it, or this process handed it over: nothing has to be started, and nobody has to wait."""
    assert scene.admission.turn_of_repeat("reserved", OrderStatus.RESERVED) is Turn.LOOK
    assert scene.admission.turn_of_repeat("confirmed", OrderStatus.CONFIRMED) is Turn.LOOK
    scene.pending("handed over")
    assert scene.admission.turn_of_repeat("handed over", OrderStatus.PLACED) is Turn.LOOK


async def test_as_many_repeats_as_the_limit_may_start_what_was_never_started(scene: Scene) -> None:
    """They take no place of a new checkout, and no order is tried twice at a time."""
    for order_id in ("first", "second", "third", "fourth"):
        assert scene.admission.turn_of_repeat(order_id, OrderStatus.PLACED) is Turn.REPEAT
        scene.open.enter_context(scene.admission.take_on(order_id, Turn.REPEAT))
        assert scene.admission.turn_of_repeat(order_id, OrderStatus.PLACED) is None
    assert scene.admission.turn_of_repeat("fifth", OrderStatus.PLACED) is None
    assert await scene.too_many() is None


async def test_a_database_that_is_away_is_no_overload(scene: Scene) -> None:
    """Its own 503 says so."""
    scene.pending("waits")
    scene.begin_probes()
    assert await scene.too_many(LONGEST + 1) is Shed.WAITING
    scene.database_is_away = True
    assert await scene.too_many() is None
    scene.database_is_away = False
    assert await scene.too_many() is Shed.WAITING


async def test_asks_nothing_while_nobody_waits_and_seldom_otherwise(scene: Scene) -> None:
    """The price of a decision: no query at all on a good day, two a second on a bad one, and only by primary key."""
    scene.begin("quick")
    for _ in range(10):
        await scene.too_many(0.1)
    assert scene.asked == []
    scene.pending("waits")
    for _ in range(100):
        await scene.too_many(0.01)
    assert scene.asked == [{"waits"}] * 2


async def test_leaves_a_part_of_the_database_pool_to_everything_else(scene: Scene) -> None:
    """Three connections of four: the next checkout waits, and a webhook finds the fourth."""
    for _ in range(3):
        await scene.admission.database().__aenter__()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), scene.admission.database():
            pass


# the line


async def in_line(scene: Scene, number: int) -> list[asyncio.Task[Shed | None]]:
    """Checkouts that wait for a place, the first one first, and keep it until the scene ends."""

    async def check_out(name: str) -> Shed | None:
        if (reason := await scene.admission.wait_in_line(Shed.IN_FLIGHT)) is None:
            scene.begin(name)
        return reason

    waiting = [asyncio.create_task(check_out(f"in line {one}")) for one in range(number)]
    await asyncio.sleep(0)  # each runs until it waits
    assert scene.admission.in_line == number
    return waiting


async def test_who_came_first_has_the_next_place(scene: Scene) -> None:
    with scene.admission.take_on("busy"):
        scene.begin_probes(MOST - 1)
        first, second = await in_line(scene, 2)
        assert await scene.too_many() is Shed.IN_FLIGHT
    assert await first is None
    assert scene.admission.in_flight == MOST
    assert await second is Shed.IN_FLIGHT  # the first one kept its place for too long


async def test_a_newcomer_does_not_overtake_the_line(scene: Scene) -> None:
    """There is a place, but somebody has waited for it."""
    with scene.admission.take_on("busy"):
        scene.begin_probes(MOST - 1)
        (first,) = await in_line(scene, 1)
    assert await scene.too_many() is Shed.IN_FLIGHT
    assert await first is None
    assert scene.admission.in_line == 0


async def test_the_line_is_no_longer_than_the_limit(scene: Scene) -> None:
    scene.begin_probes(MOST)
    waiting = await in_line(scene, MOST)
    assert await scene.admission.wait_in_line(Shed.IN_FLIGHT) is Shed.IN_FLIGHT
    assert scene.admission.in_line == MOST
    assert await asyncio.gather(*waiting) == [Shed.IN_FLIGHT] * MOST
    assert scene.admission.in_line == 0


async def test_who_gives_up_leaves_the_line_to_the_others(scene: Scene) -> None:
    """Its client has hung up."""
    with scene.admission.take_on("busy"):
        scene.begin_probes(MOST - 1)
        first, second = await in_line(scene, 2)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    assert await second is None


async def test_nobody_waits_in_line_for_workers(scene: Scene) -> None:
    """No place would help: an order has waited for a worker for too long."""
    assert await scene.admission.wait_in_line(Shed.WAITING) is Shed.WAITING
    assert scene.admission.in_line == 0
