"""When a worker counts as alive, as ready, and as one to start again; and the page that says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest

from activities.interceptors.attempts import Attempt, Attempts
from activities.interceptors.health import LOOKS, WorkerHangs, WorkerHealth
from adapters.postgres import reachability
from adapters.settings import Settings
from adapters.telemetry.health_page import Answer, served
from commandline.doctor.checks import State
from commandline.doctor.worker import check_worker_health
from devstack.stack.ports import LOOPBACK, free_port
from ops.temporal.worker_health import trouble
from tests.support.waiting import until

LATE = Attempt("ship_order", "order-1", 1, until=1.0)
OTHER = Attempt("capture_payment", "order-2", 4, until=2.0)


class Overdue(Attempts):
    """Says at each look what the test wants; the last answer is repeated."""

    def __init__(self, *looks: list[Attempt]) -> None:
        super().__init__(timedelta(0))
        self.looks = list(looks)
        self.asked = 0

    def overdue(self) -> list[Attempt]:
        self.asked += 1
        return self.looks[min(self.asked, len(self.looks)) - 1]


def health(
    attempts: Attempts, connects: Callable[[], Awaitable[bool]], parts: dict[str, str] | None = None
) -> WorkerHealth:
    async def reachable() -> dict[str, str]:
        return parts or {"postgresql": "ok", "temporal": "ok"}

    return WorkerHealth(attempts, reachable, connects, every=timedelta(milliseconds=1))


async def _looked(attempts: Overdue) -> None:
    async def often() -> bool:
        return attempts.asked > 70

    await until(often, True)


async def there() -> bool:
    return True


async def away() -> bool:
    return False


async def test_attempts_that_hang_at_three_looks_in_a_row_end_the_worker() -> None:
    """Only those that hung all the time are named."""
    attempts = Overdue([LATE], [LATE, OTHER], [LATE, OTHER])
    assert await asyncio.wait_for(health(attempts, there).hung(), 10) == [LATE]
    assert attempts.asked == LOOKS


@pytest.mark.parametrize(
    "attempts",
    [Overdue([]), Overdue(*[[LATE], [OTHER]] * 20, []), Overdue(*[[LATE], [LATE], []] * 20, [])],
    ids=["none hangs", "each ends in time", "they ended between two looks"],
)
async def test_attempts_that_come_to_an_end_do_not_end_the_worker(attempts: Overdue) -> None:
    """However many looks see some of them."""
    watch = asyncio.create_task(health(attempts, there).hung())
    await _looked(attempts)
    assert not watch.done()
    watch.cancel()


async def test_an_outage_of_the_database_ends_no_worker() -> None:
    """Another one would hang as well; the look that saw the database counts for nothing before and after others."""
    attempts, answers = Overdue([LATE]), [True, True, False] * 20

    async def comes_and_goes() -> bool:
        return answers.pop(0) if answers else False

    watch = asyncio.create_task(health(attempts, comes_and_goes).hung())
    await _looked(attempts)
    assert not watch.done()
    watch.cancel()


async def test_a_worker_that_is_told_to_stop_is_not_taken_for_hung() -> None:
    """It stops as it was told, and hung ones raise."""
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(health(Overdue([LATE]), away).watch_until(stop, grace=1000.0), 10)


async def test_a_hung_worker_says_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is ended by force when its attempts do not let it stop."""
    forced: list[float] = []
    monkeypatch.setattr("activities.interceptors.health._end_by_force_after", forced.append)
    with pytest.raises(WorkerHangs, match="1 attempts hang: ship_order of order-1, attempt 1"):
        await asyncio.wait_for(health(Overdue([LATE]), there).watch_until(asyncio.Event(), grace=3.0), 10)
    assert forced == [5.0]


async def test_liveness_and_readiness_are_two_questions() -> None:
    """A database that is away makes a worker not ready, attempts that hang make it not alive."""
    cut_off = health(Overdue([]), away, {"postgresql": "away", "temporal": "ok"})
    assert ((await cut_off.alive()).healthy, (await cut_off.ready()).healthy) == (True, False)
    hanging = health(Overdue([LATE]), there)
    assert ((await hanging.alive()).healthy, (await hanging.ready()).healthy) == (False, True)
    assert (await hanging.alive()).said["hung"] == ["ship_order of order-1, attempt 1"]


async def test_a_question_that_ignores_its_end_is_not_waited_for() -> None:
    """Cleaning up may take its time; whoever asked has the answer."""
    cleaned = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            cleaned.set()
            raise OSError

    assert not await reachability.answers_in_time(stubborn(), 0.01)
    assert not cleaned.is_set()
    await asyncio.wait_for(cleaned.wait(), 10)


@pytest.fixture
async def page() -> AsyncIterator[tuple[int, dict[str, Answer]]]:
    """A health page whose answers the test sets."""
    answers = {"/healthz": Answer(True, {"hung": []}), "/readyz": Answer(True, {"postgresql": "ok"})}

    def asked(path: str) -> Callable[[], Awaitable[Answer]]:
        async def answer() -> Answer:
            return answers[path]

        return answer

    port = free_port()
    async with served(LOOPBACK, port, {path: asked(path) for path in answers}):
        yield port, answers


async def test_serves_its_pages_and_nothing_else(page: tuple[int, dict[str, Answer]]) -> None:
    """200 or 503 with a JSON body; other addresses and methods are turned away."""
    port, answers = page
    async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as http:
        found = await http.get("/healthz?verbose")
        assert (found.status_code, found.json()) == (200, {"hung": []})
        answers["/healthz"] = Answer(False, {"hung": ["x"]})
        assert (await http.get("/healthz")).status_code == 503
        assert (await http.head("/readyz")).status_code == 200
        assert (await http.get("/")).status_code == 404
        assert (await http.post("/healthz")).status_code == 405


@pytest.mark.parametrize("said", [b"\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 20_000, b"GET /healthz"])
async def test_turns_nonsense_away_and_goes_on(page: tuple[int, dict[str, Answer]], said: bytes) -> None:
    """The next caller is served."""
    port, _ = page
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(said)
    writer.write_eof()
    with suppress(ConnectionResetError):
        assert b" 200 " not in await asyncio.wait_for(reader.read(), 10)
    writer.close()
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"http://{LOOPBACK}:{port}/readyz")).status_code == 200


async def test_a_port_that_is_taken_is_an_error_and_0_is_no_port(page: tuple[int, dict[str, Answer]]) -> None:
    """A second worker on the host needs a port of its own, and is told so."""
    async with served(LOOPBACK, 0, {}):
        pass
    with pytest.raises(OSError):
        async with served(LOOPBACK, page[0], {}):
            pass


async def test_doctor_tells_what_the_page_says(page: tuple[int, dict[str, Answer]]) -> None:
    """Nothing where it is turned off, and what is wrong where it is not well."""
    port, answers = page
    settings = Settings(worker_health_port=port)
    assert await check_worker_health(Settings(worker_health_port=0)) == []
    assert [check.state for check in await check_worker_health(settings)] == [State.OK]
    answers["/readyz"] = Answer(False, {"postgresql": "away"})
    (cut_off,) = await check_worker_health(settings)
    assert (cut_off.state, cut_off.found) == (State.FAIL, "the worker cannot reach postgresql")
    answers["/healthz"] = Answer(False, {"hung": ["ship_order of order-1, attempt 1"]})
    (hung,) = await check_worker_health(settings)
    assert (hung.state, hung.found) == (State.FAIL, "attempts hang: ship_order of order-1, attempt 1")
    (gone,) = await check_worker_health(Settings(worker_health_port=free_port()))
    assert gone.state is State.FAIL


async def test_the_containers_check_asks_the_page(page: tuple[int, dict[str, Answer]]) -> None:
    """`--live` asks only whether the worker has to be started again."""
    port, answers = page
    settings = Settings(worker_health_port=port, worker_health_host="0.0.0.0")
    assert await trouble(settings, live=True) is None
    answers["/readyz"] = Answer(False, {"postgresql": "away"})
    assert await trouble(settings, live=True) is None
    assert await trouble(settings, live=False) == "the worker cannot reach PostgreSQL or Temporal"
    answers["/healthz"] = Answer(False, {"hung": ["x"]})
    assert await trouble(settings, live=True) == "attempts of the worker hang"
