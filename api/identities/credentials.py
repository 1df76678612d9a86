"""What the API takes as proof of who asks: tokens of the issuer, API keys, tickets of streams."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AsyncExitStack

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.identities.api_keys import PREFIX, KeyParts, parse
from adapters.identities.key_sources import AddressOfKeys, FileOfKeys
from adapters.identities.keys import Keys
from adapters.identities.secrets import Secret
from adapters.identities.tokens import Tokens
from adapters.settings import Settings
from domain.errors import Unauthenticated
from domain.identities import Kind, Principal, roles_of
from services.identities import api_keys
from services.identities.actors import Actors
from services.orders.placement import ORDER_IDS

KEY_TRUSTED = 10.0  # seconds that a key which was found is not looked up again: a revoked one counts so long
REMEMBERED = 1_000  # keys
TICKET_LIFE = 300.0  # seconds in which a stream may be opened with a ticket, and opened again


class Credentials:
    """Of one API process."""

    def __init__(
        self, settings: Settings, tokens: Tokens, reads: AsyncEngine, clock: Callable[[], float] = time.time
    ) -> None:
        self._tokens, self._reads, self._clock = tokens, reads, clock
        self._tickets = Secret(settings.service_secret, "tickets")
        self.actors = Actors(settings.service_secret)
        self.order_ids = Secret(settings.service_secret, ORDER_IDS)
        self._found: OrderedDict[KeyParts, tuple[float, Principal]] = OrderedDict()

    async def principal(self, credential: str) -> Principal:
        """Who shows it. Raises Unauthenticated, or Unavailable while nothing can be verified."""
        if credential.startswith(PREFIX):
            return await self._of_key(credential)
        return await self._tokens.principal(credential)

    async def _of_key(self, credential: str) -> Principal:
        given = parse(credential)
        if given is None:
            raise _refused("the API key was not copied whole")
        until, known = self._found.get(given, (0.0, None))
        if known is not None and self._clock() < min(until, known.expires_at):
            return known
        self._found.pop(given, None)
        async with self._reads.connect() as connection:
            found = await api_keys.principal_of(connection, given)
        if found is None:
            raise _refused("the API key is unknown, was revoked, or has expired")
        self._found[given] = (self._clock() + KEY_TRUSTED, found)
        if len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
        return found

    # streams ---------------------------------------------------------------------------------------------------

    def ticket(self, principal: Principal, order_id: str) -> tuple[str, float]:
        """What opens the stream of this one order for a while, and until when; the caller may read the order.

        A browser's EventSource sends no headers. The stream ends with the token that the ticket was had for.
        """
        until = min(self._clock() + TICKET_LIFE, principal.expires_at)
        said = {
            "order": order_id,
            "iss": principal.issuer,
            "sub": principal.subject,
            "kind": principal.kind,
            "scope": sorted(principal.roles),
            "customer": principal.customer_id,
            "ends": principal.expires_at,
            "until": until,
        }
        return self._tickets.signed(said), until

    def of_ticket(self, ticket: str, path: str) -> Principal:
        """Who got the ticket. Raises Unauthenticated for one that is not for this stream, or not any more."""
        said = self._tickets.read(ticket)
        if said is None or path != stream_path(said["order"]):
            raise _refused("the ticket is not for this stream")
        if said["until"] <= self._clock():
            raise _refused("the ticket has expired")
        return Principal(
            issuer=said["iss"],
            subject=said["sub"],
            kind=Kind(said["kind"]),
            roles=roles_of(said["scope"]),
            customer_id=said["customer"],
            expires_at=said["ends"],
        )


def stream_path(order_id: str) -> str:
    """Where the stream of an order is."""
    return f"/api/orders/{order_id}/events"


def credentials_of(settings: Settings, reads: AsyncEngine, stack: AsyncExitStack) -> Credentials:
    """By the settings; the stack closes what is opened."""
    file = settings.identity_file
    keys = Keys(AddressOfKeys(settings.identity_jwks) if file is None else FileOfKeys(file))
    stack.push_async_callback(keys.aclose)
    return Credentials(settings, Tokens(keys, settings.identity_issuer, settings.identity_audience), reads)


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated("invalid_token", why)
