"""How the commands of the development stack run, end at a signal, and leave the process."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn

from devstack.errors import StackError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130


def run_command(command: Coroutine[Any, Any, int], when_interrupted: int = INTERRUPTED) -> NoReturn:
    """Run it to its exit status; a signal cancels it, so that it cleans up, and a second one ends it at once."""
    try:
        code = asyncio.run(_run(command, when_interrupted))
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # whoever read has gone
        pass
    os._exit(code)  # the Temporal client's threads may abort the interpreter's own way out (temporalio #300)


async def _run(command: Coroutine[Any, Any, int], when_interrupted: int) -> int:
    work = asyncio.ensure_future(command)
    signals: list[signal.Signals] = []

    def interrupt(received: signal.Signals) -> None:
        signals.append(received)
        if len(signals) > 1:
            os._exit(INTERRUPTED)
        work.cancel()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, interrupt, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not signals:
            raise
        return when_interrupted
