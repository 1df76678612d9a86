"""Runs the worker or the API under a profiler: `python -m benchmarks.profiled worker|api FILE [PORT]`.

The service knows nothing of it. Every thread is profiled, by its own CPU time: waiting costs nothing here. SIGUSR1
marks the end of the warm-up, SIGTERM ends the service as ever, and FILE gets what came between the two.
"""

from __future__ import annotations

import cProfile
import faulthandler
import marshal
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn
import uvloop

import worker
from adapters.settings import Settings
from benchmarks.hotspots import Entries, merged, without

_profiles: list[cProfile.Profile] = []
_warm_up: Entries = {}


def _new_profile() -> cProfile.Profile:
    profile = cProfile.Profile(time.thread_time)
    _profiles.append(profile)
    profile.enable()
    return profile


def _profile_thread(frame: FrameType, event: str, argument: Any) -> None:
    """Called once, at a thread's first step: enabling the profile takes this function's place."""
    _new_profile()


def _so_far() -> Entries:
    """What all threads have done up to now, while they go on."""
    for profile in _profiles:
        profile.snapshot_stats()
    return merged([cast(Entries, profile.stats) for profile in _profiles])


def _end_warm_up(number: int, frame: FrameType | None) -> None:
    global _warm_up
    _warm_up = _so_far()


def run_api(port: int) -> None:
    config = uvicorn.Config("api.app:create_app", factory=True, access_log=False, host="127.0.0.1", port=port)
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # uvicorn raises it again when it has closed
    uvicorn.Server(config).run()


def main(role: str, file: Path, port: int) -> None:
    faulthandler.enable()
    threading.setprofile(_profile_thread)
    signal.signal(signal.SIGUSR1, _end_warm_up)
    own = _new_profile()
    if role == "worker":
        uvloop.run(worker.run(Settings()))
    else:
        run_api(port)
    own.disable()
    # The form of a file of the profiler's own, for `python -m pstats`.
    file.write_bytes(marshal.dumps(without(_so_far(), _warm_up)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    os._exit(0)  # as worker.py does: the SDK's threads may abort the interpreter's own way out
