"""API keys of simple shops' programs: make one, list them, revoke one."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Response

from api.deps import ServicesDep
from api.http.authentication import Caller, may
from api.http.exact_json import ExactJsonRoute
from api.http.problems import documented
from api.identities.schemas import KeyList, KeyView, KeyWanted, NewKeyView, view_of
from domain.errors import bad_fields
from domain.identities import KEY_ROLES
from services.identities import api_keys

router = APIRouter(prefix="/api/keys", tags=["identities"], route_class=ExactJsonRoute)

Manager = Annotated[Caller, Depends(may("keys:manage"))]

log = structlog.get_logger()


@router.get("", summary="API keys, newest first")
async def list_keys(services: ServicesDep, caller: Manager) -> KeyList:
    async with services.reads.connect() as connection:
        return KeyList(keys=[view_of(key) for key in await api_keys.list_keys(connection)])


@router.post("", status_code=201, responses=documented(400, 409, 415, 422), summary="Make an API key")
async def create_key(services: ServicesDep, caller: Manager, wanted: KeyWanted, response: Response) -> NewKeyView:
    """An owner has two at a time, so that a program can be changed over without a pause."""
    if others := sorted(set(wanted.scopes) - KEY_ROLES):
        raise bad_fields({"scopes": f"a key may not be {', '.join(others)}: people have tokens"})
    async with services.sessions() as session, session.begin():
        made, key = await api_keys.create_key(
            await session.connection(),
            wanted.owner,
            set(wanted.scopes),
            timedelta(days=wanted.days),
            caller.principal.subject,
        )
    log.warning("api_key_created", key_id=made.key_id, owner=made.owner)
    response.headers["Cache-Control"] = "no-store"
    return NewKeyView(**made._asdict(), key=key)


@router.post("/{keyId}/revoke", responses=documented(404), summary="Revoke an API key")
async def revoke_key(
    services: ServicesDep, caller: Manager, key_id: Annotated[str, Path(alias="keyId", max_length=64)]
) -> KeyView:
    """Each API process goes on taking it for ten seconds at most."""
    async with services.sessions() as session, session.begin():
        key = await api_keys.revoke_key(await session.connection(), key_id, caller.principal.subject)
    log.warning("api_key_revoked", key_id=key_id)
    return view_of(key)
