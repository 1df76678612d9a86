"""What `ordersaga doctor` finds about personal data."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.clock import now
from adapters.postgres.database import create_engine, create_sessions, dispose
from adapters.settings import Settings
from adapters.tombstones.folder import Tombstone, Tombstones
from commandline.doctor.privacy import check_personal_data
from services.privacy.upkeep import work_once
from tests.support.counter import Counter
from tests.support.privacy import Zephyrine


async def found(settings: Settings) -> list[tuple[str, str]]:
    return [(check.name, check.state.value) for check in await check_personal_data(settings)]


@pytest.mark.slow
async def test_tells_what_is_in_clear_and_who_is_there_again(own: Settings, tmp_path: Path) -> None:
    """Each with its mend; all is well in between."""
    settings = own.model_copy(update={"tombstones": tmp_path / "tombstones"})
    later = settings.model_copy(update={"sealing_later": True})
    engine, clear = create_engine(settings), create_engine(later)
    try:
        someone = Zephyrine(Counter(create_sessions(clear)), tmp_path)
        await someone.orders()
        assert await found(settings.model_copy(update={"customer_keys_file": None})) == [("Personal data", "warn")]
        assert await found(settings.model_copy(update={"customer_keys_file": tmp_path})) == [
            ("Personal data", "fail")
        ]
        assert (await found(later))[0] == (await found(settings))[0] == ("Personal data", "warn")
        while await work_once(engine):
            pass
        assert await found(settings) == [("Personal data", "ok"), ("Erasures", "ok")]

        stone = Tombstone(someone.id, now(), now())
        await Tombstones(settings.tombstones).add(stone)
        assert await found(settings) == [("Personal data", "ok"), ("Erasures", "fail")]
        desk = Zephyrine(Counter(create_sessions(engine)), settings.tombstones).desk
        assert await desk.replay() == [someone.id]
        assert await found(settings) == [("Personal data", "ok"), ("Erasures", "ok")]
        elsewhere = settings.model_copy(update={"tombstones": tmp_path / "others"})
        assert await found(elsewhere) == [("Personal data", "ok"), ("Erasures", "warn")]
    finally:
        await dispose(engine)
        await dispose(clear)


async def test_leaves_a_database_that_is_away_to_the_check_of_the_database(own: Settings) -> None:
    """It had broken there, and told its reader to look at a log."""
    nowhere = own.model_copy(update={"database_url": SecretStr("postgresql+asyncpg://o:p@127.0.0.1:1/o")})
    assert await found(nowhere) == []
