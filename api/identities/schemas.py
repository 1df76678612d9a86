"""What operators send about API keys, and what they get."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from adapters.identities.api_keys import LONGEST_LIFE
from api.http.fields import Body, Identifier, Wire
from domain.identities import KEY_ROLES, Role
from services.identities.api_keys import KeyRead


def _unset(value: Any) -> bool:
    return value is None


class KeyWanted(Body):
    """A key for a program; `owner` names the shop or supplier whose program it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"owner": "web-shop", "scopes": ["shop"], "days": 90}]})

    owner: Identifier
    scopes: list[Role] = Field(min_length=1, max_length=len(KEY_ROLES), description="shop, supplier")
    days: Annotated[int, Field(strict=True, ge=1, le=LONGEST_LIFE.days)] = 90


class KeyView(Wire):
    key_id: str
    owner: str
    scopes: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None = Field(default=None, exclude_if=_unset)
    revoked_by: str | None = Field(default=None, exclude_if=_unset)


class NewKeyView(KeyView):
    key: str = Field(description="the key itself: shown this once")


class KeyList(Wire):
    keys: list[KeyView]


def view_of(key: KeyRead) -> KeyView:
    return KeyView(**key._asdict())
