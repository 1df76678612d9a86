"""Every error of the API as a problem document (RFC 9457, application/problem+json).

`type` is stable and what a program should look at, `errors` names each bad field. A problem never says what went
wrong inside, and never repeats what the client sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.types import Scope

from api.http.availability import database_is_away
from api.http.exact_json import TOO_MANY, TWICE
from api.http.methods import allowed
from api.http.observation import REQUEST_ID, current_request_id
from api.http.statuses import STATUS, camel_case, errors_of
from domain.card_numbers import mask_card_numbers
from domain.errors import Refused, TooMany, Unavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 2  # seconds: a restarted database or engine is back in about this time
MAX_ERRORS = 50
MAX_FIELD_LENGTH = 200
PRICE_FIELDS = frozenset(
    ["price", "unitPrice", "unit_price", "amount", "total", "totalAmount", "total_amount", "currencyPrice"]
)

log = structlog.get_logger()


class FieldError(BaseModel):
    field: str = Field(examples=["items[0].quantity"])
    message: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """The shape of every error; an error about an order also carries `orderId`, `status` and `links`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/invalid-request"])
    title: str = Field(examples=["Invalid request"])
    status: int = Field(examples=[422])
    code: str = Field(examples=["invalid_request"])
    detail: str
    errors: list[FieldError] = Field(default=[])


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """A problem's response; `code`, with dashes, becomes the last part of its `type`."""
    slug = code.replace("_", "-")
    body: dict[str, Any] = {
        "type": f"/problems/{slug}",
        "title": slug.replace("-", " ").capitalize(),
        "status": status,
        "code": code.replace("-", "_"),
        "detail": detail,
        **members,
    }
    if errors:
        body["errors"] = list(errors)[:MAX_ERRORS]
    sent = dict(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        sent.setdefault("Retry-After", str(RETRY_AFTER))
    # ASCII only: a field's name may hold a lone surrogate, which UTF-8 cannot carry.
    return Response(json.dumps(body), status_code=status, headers=sent, media_type=MEDIA_TYPE)


def answer(refused: Refused, headers: Mapping[str, str] | None = None) -> Response:
    """The problem's response of a refusal; `headers` come on top of those that it has anyway."""
    sent = dict(headers or {})
    if isinstance(refused, TooMany | Unavailable) and refused.retry_after is not None:
        sent["Retry-After"] = str(int(refused.retry_after.total_seconds()))
    if isinstance(refused, TooMany):
        sent |= {"RateLimit-Limit": str(refused.limit), "RateLimit-Remaining": "0"}
        sent["RateLimit-Reset"] = sent["Retry-After"]
    members = {camel_case(name): value for name, value in refused.members.items()}
    status, errors = STATUS[type(refused)], errors_of(refused)
    return problem(status, refused.code, refused.detail, errors=errors, headers=sent, **members)


def unread(scope: Scope) -> dict[str, str]:
    """The headers of a refusal that comes before the body is read: nobody reads what follows."""
    has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
    return {"Connection": "close"} if has_body else {}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for OpenAPI: each of these statuses is a problem."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content} for status in (*statuses, 413, 503)
    }


def install(app: FastAPI) -> None:
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for kind in (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        app.add_exception_handler(kind, _database)
    app.add_exception_handler(Exception, _unhandled)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return answer(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    for one in found:
        if one["type"] == "json_invalid":
            why = one.get("ctx", {}).get("error")
            told = why if why in (TWICE, TOO_MANY) else "the body is not well-formed JSON"
            return problem(400, "malformed-json", told)
    if _is_other_media(request) and any(tuple(one["loc"]) == ("body",) for one in found):
        return problem(415, "unsupported-media-type", "send the body as application/json")
    return problem(
        422,
        "invalid-request",
        "the request has bad fields",
        errors=[{"field": field_name(one["loc"]), "message": _message(one)} for one in found[:MAX_ERRORS]],
    )


def _is_other_media(request: Request) -> bool:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return not (media.startswith("application/") and media.endswith("json"))


def field_name(location: Sequence[int | str]) -> str:
    """("body", "items", 0, "quantity") is `items[0].quantity`; the body as a whole is `body`."""
    name = ""
    for part in location[1:]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return mask_card_numbers((name or str(location[0] if location else "body"))[:MAX_FIELD_LENGTH])


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        if error["loc"][-1] in PRICE_FIELDS:
            return "prices come from the catalogue; leave this out"
        return "unknown field"
    return str(error["msg"]).removeprefix("Value error, ")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    details = {
        404: "there is nothing at this address",
        405: "this address does not take this method",
    }
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = allowed(request.app, request.scope["path"])
    return problem(
        error.status_code,
        phrase.lower().replace(" ", "-"),
        details.get(error.status_code, phrase),
        headers=headers,
    )


async def _database(request: Request, error: Exception) -> Response:
    if not database_is_away(error):
        raise error
    log.warning("database_away", path=request.url.path, error=type(error).__name__)
    return problem(503, "database-away", "the database cannot be reached; try again later")


async def _unhandled(request: Request, error: Exception) -> Response:
    log.error("unhandled_error", method=request.method, path=request.url.path, error=type(error).__name__)
    headers = {REQUEST_ID: current_request_id()}  # answered outside of our middleware, which adds it elsewhere
    return problem(500, "internal-error", "something went wrong inside; it was logged", headers=headers)
