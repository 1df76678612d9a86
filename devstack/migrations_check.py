"""Whether migrations and tables agree: `alembic check` on a throw-away PostgreSQL, after going down and up again."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devstack.stack.interruption import run_command
from devstack.stack.parts import PROJECT
from devstack.stack.stack import Stack

STEPS = (["check"], ["downgrade", "base"], ["upgrade", "head"], ["check"])


async def alembic(words: list[str], environment: Mapping[str, str]) -> int:
    """Run one Alembic command to its exit status; its words go to our output."""
    command = [sys.executable, "-m", "alembic", *words]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, check=False
    )
    return done.returncode


async def check() -> int:
    with tempfile.TemporaryDirectory(prefix="ordersaga-migrations-", ignore_cleanup_errors=True) as folder:
        async with Stack(Path(folder), parts={"postgres"}, environ=os.environ) as stack:
            for words in STEPS:
                if await alembic(words, stack.environment) != 0:
                    print(f"alembic {' '.join(words)} failed", file=sys.stderr)
                    return 1
    print("migrations: up, down and up again; the tables agree with them")
    return 0


if __name__ == "__main__":
    run_command(check())
