"""What our long-running processes have in common: settings, telemetry, the event loop, and how they end.

Exit codes: 0 after a drain, 1 when the process could not start or broke, 2 for settings that make no sense.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog
import uvloop
from pydantic import ValidationError

from adapters.settings import Settings
from adapters.telemetry import runtime as telemetry
from adapters.telemetry import tracing
from adapters.telemetry.logs import configure_logs

BROKE, BAD_SETTINGS = 1, 2


def told_to_stop() -> asyncio.Event:
    """An event that SIGTERM or SIGINT sets; for the running event loop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


@contextmanager
def told_first(act: Callable[[], None]) -> Iterator[None]:
    """Calls `act` when SIGTERM or SIGINT arrives, beside the handler of the server that this process runs.

    A server waits for its answers to end before it tells the application that it stops: an answer that has no end
    has to hear of it here. Without such a handler, or outside of the main thread, nobody is told.
    """
    loop, handlers = asyncio.get_running_loop(), {}
    if threading.current_thread() is threading.main_thread():
        handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    replaced = {name: handler for name, handler in handlers.items() if callable(handler)}

    def told(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(act)
        replaced[signal.Signals(number)](number, frame)

    for name in replaced:
        signal.signal(name, told)
    try:
        yield
    finally:
        for name, handler in replaced.items():
            signal.signal(name, handler)


def exit_code(
    name: str,
    run: Callable[[Settings], Coroutine[Any, Any, None]],
    metrics_port: Callable[[Settings], int],
    of_error: Callable[[Exception], int] = lambda error: BROKE,
) -> int:
    """Runs the process called `name` to its end. `of_error` gives the code of an error that ended it."""
    log = structlog.get_logger(name)
    configure_logs()
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            log.error("bad setting", setting=".".join(map(str, problem["loc"])), problem=problem["msg"])
        return BAD_SETTINGS
    try:
        telemetry.start(settings, name, metrics_port(settings))
        uvloop.run(run(settings))
    except Exception as error:
        log.error(f"{name} broke", error=f"{type(error).__name__}: {error}")
        return of_error(error)
    finally:
        tracing.stop()
    return 0


def leave(code: int) -> None:
    """Ends the process without the interpreter's own shutdown.

    The SDK's native threads may abort in it (temporalio/sdk-python#300), which would turn a clean drain into a crash:
    everything is closed by now.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
