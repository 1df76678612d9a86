"""How a process of the benchmark is commanded: lines of JSON on standard input, one answer each on standard output.

It imports nothing of the engines: the stations of other engines run in an environment of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import IO, Any

Obey = Callable[[dict[str, Any]], Awaitable[Any]]


async def converse(obey: Obey, answers: IO[str]) -> None:
    """Says that the process is ready, then does one command after the other until the input ends."""
    _say(answers, None)
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            _say(answers, await obey(json.loads(line)))
        except Exception as error:
            told = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            _say(answers, None, f"{type(told).__name__}: {told}")


def answers_alone() -> IO[str]:
    """Standard output for the answers only: whatever a library prints goes to standard error instead."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own


def _say(answers: IO[str], done: Any, error: str | None = None) -> None:
    answers.write(json.dumps({"done": done, "error": error}) + "\n")
    answers.flush()
