"""Checks the events' document against the official JSON Schema of AsyncAPI: `python -m devstack.events.official`.

The schema is in the npm package `@asyncapi/specs`, which is installed into build/ by a package-lock with hashes. The
suite does without it (`structure.py`): it needs neither npm nor a network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from api.events.asyncapi import document

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "build" / "asyncapi"
SCHEMA = FOLDER / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
PINS = ("package.json", "package-lock.json")


def main() -> int:
    """Installs the schema where it is not there yet; 1 where the document has errors."""
    if not SCHEMA.exists():
        _install()
    official: dict[str, Any] = json.loads(SCHEMA.read_text())
    errors = [f"{'/'.join(map(str, one.absolute_path))}: {one.message}" for one in _errors(official)]
    print("\n".join(errors) or f"The document is valid by {official['$id']}")
    return 1 if errors else 0


def _errors(official: dict[str, Any]) -> list[Any]:
    return list(Draft7Validator(official).iter_errors(json.loads(json.dumps(document()))))


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("The schema is installed by npm, and there is no npm.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in PINS:
        shutil.copy(HERE / name, FOLDER)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run([npm, "ci", *quiet], cwd=FOLDER, check=True, stdin=subprocess.DEVNULL, env=dict(os.environ))


if __name__ == "__main__":
    sys.exit(main())
