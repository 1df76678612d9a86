"""The gate before a release: `python -m devstack.events.release` makes the schemas of now the released ones.

It refuses where a consumer or a stored event would no longer fit, and says where. Then the type gets a new version:
an entry of its own in `domain/event_registry.py`, beside the old one, which stays. `--check` only looks.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from api.events.asyncapi import document
from devstack.events.compatibility import breaks

RELEASED = Path(__file__).parent / "released.json"


def schemas_now() -> dict[str, Any]:
    """The schemas of the envelope, of each event's data in each version, and of the references."""
    found: dict[str, Any] = document()["components"]["schemas"]
    return found


def released_schemas(file: Path = RELEASED) -> dict[str, Any]:
    """What was released last; nothing before the first release."""
    if not file.exists():
        return {}
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def main(arguments: list[str] | None = None, file: Path = RELEASED) -> int:
    """Checks, and releases unless told only to check; 1 where something would break."""
    parser = argparse.ArgumentParser(prog="python -m devstack.events.release", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what would break, and what is new")
    chosen = parser.parse_args(arguments)
    released, now = released_schemas(file), schemas_now()
    if broken := breaks(released, now):
        print("\n".join(["These changes break consumers, or events that are stored:", *broken]), file=sys.stderr)
        print("Leave the released version as it is, and give the type a new one.", file=sys.stderr)
        return 1
    new = [name for name in now if now[name] != released.get(name)]
    print(f"{len(now)} schemas, {len(new)} of them new or with additions" + "".join(f"\n  {name}" for name in new))
    if not chosen.check:
        file.write_text(json.dumps(now, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
