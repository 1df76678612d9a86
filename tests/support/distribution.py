"""Which tests a worker of pytest-xdist runs one after the other: those of a file, and files that share processes."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

SHARING = {
    "services": [
        f"tests/integration/test_{one}.py"
        for one in ("alerts", "free_texts", "log_privacy", "metrics", "privacy", "tracing")
    ],
    "env": [f"tests/workflows/test_{one}.py" for one in ("no_scan", "payment_time", "refused_key", "time")],
}
"""By the fixture that the files share: it starts processes, which would start again in each worker."""


class Distribution(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """As `--dist=loadfile`, but files that share processes count as one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((fixture for fixture, files in SHARING.items() if file in files), file)


def check_sharing(items: list[pytest.Item]) -> None:
    """Raises UsageError when another file uses such a fixture."""
    for fixture, files in SHARING.items():
        users = {item.nodeid.split("::")[0] for item in items if fixture in getattr(item, "fixturenames", ())}
        if others := users - {*files}:
            raise pytest.UsageError(f"{sorted(others)} use `{fixture}`: name them in {__file__}")
