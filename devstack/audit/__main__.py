"""What is looked at each night rather than with each change: `make audit`.

Ends with 1 where something was found, and with 2 where something could not be looked at: that is never a pass.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from devstack.audit import advisories
from devstack.audit.bad_requests import bad_requests
from devstack.audit.cost import measured

MOST = 20  # times the CPU of `/healthz`, for the dearest request that is refused
SHOWN = 5


def main(words: Sequence[str]) -> int:
    """Each part says what it found; the worst outcome counts."""
    options = argparse.ArgumentParser(prog="make audit", description=__doc__)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--requests", type=int, default=10_000)
    chosen = options.parse_args(words)
    found = [_refusals(chosen.seed, chosen.requests), advisories.look()]
    return 1 if 1 in found else max(found)


def _refusals(seed: int, count: int) -> int:
    good, costs = measured(bad_requests(seed, count))
    broken = [cost for cost in costs if cost.status == 500]
    ratio = costs[0].seconds / good
    print(f"{count} bad requests (seed {seed}); CPU of /healthz {good * 1000:.2f} ms, of the dearest {ratio:.1f} x:")
    for cost in costs[:SHOWN]:
        print(f"  {cost.seconds * 1000:6.2f} ms  {cost.seconds / good:5.1f} x  {cost.status}  {cost.request.name}")
    for cost in broken[:SHOWN]:
        print(f"  500: {cost.request.name}")
    return int(ratio >= MOST or bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
