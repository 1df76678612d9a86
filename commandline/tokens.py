"""`ordersaga token`: a token of the development stack, in place of an issuer's; and what one's own token says."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from commandline.failures import Failure
from commandline.places import find_stack
from domain.identities import Role


def print_token(roles: Sequence[Role], customer: str | None, subject: str | None) -> None:
    """Writes a token to standard output. Raises Failure where no development stack runs in this folder or above."""
    from adapters.identities.development import saved_key

    stack = find_stack()
    key = saved_key(stack.file.parent) if stack else None
    if key is None:
        raise Failure(
            "no_development_stack",
            "no development stack runs in this folder or above it: only its key can make tokens here",
            mend="start one (`make up`); anywhere else the issuer gives tokens",
        )
    sys.stdout.write(key.token(roles, subject=subject, customer_id=customer) + "\n")
