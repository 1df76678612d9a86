"""Known vulnerabilities of what is pinned, by pip-audit, which asks an advisory service on the network.

Where that is out of reach pip-audit skips every package and ends with 0: here that is an audit that did not happen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements.txt"
COMMAND = [sys.executable, "-m", "pip_audit", "--requirement", str(REQUIREMENTS), "--require-hashes", "--disable-pip"]
OPTIONS = ["--strict", "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
PASSED, FOUND, NOT_LOOKED = 0, 1, 2

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def look(run: Run = _run) -> int:
    """Prints what was found. PASSED only where every package was really looked up."""
    try:
        done = run([*COMMAND, *OPTIONS])
    except (OSError, subprocess.TimeoutExpired) as error:
        return _not_looked(type(error).__name__)
    report = _report(done.stdout)
    if report is None:
        return _not_looked(_last_line(done.stderr))
    packages: list[dict[str, Any]] = report["dependencies"]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    if not packages or skipped:
        return _not_looked(f"{len(skipped)} of {len(packages)} packages were skipped")
    bad = [(one["name"], one["version"], vuln["id"]) for one in packages for vuln in one["vulns"]]
    for name, version, advisory in bad:
        print(f"  {name} {version}: {advisory}")
    print(f"{len(packages)} packages looked up, {len(bad)} known vulnerabilities")
    return FOUND if bad else PASSED


def _report(text: str) -> dict[str, Any] | None:
    try:
        report = json.loads(text)
    except ValueError:
        return None
    return report if isinstance(report, dict) and "dependencies" in report else None


def _not_looked(why: str) -> int:
    print(f"NOT AUDITED: no package was checked against known vulnerabilities ({why}).", file=sys.stderr)
    return NOT_LOOKED


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "pip-audit said nothing"
