"""The HTTP API for commands that make one call after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from commandline.failures import Failure
from commandline.places import Place
from domain.plain_text import all_made_readable

PATIENCE = 30.0  # seconds: a checkout may take the API's whole budget


@dataclass(frozen=True)
class ApiAnswer:
    status: int
    document: dict[str, Any]


class Api:
    """Raises Failure for everything that is not a success: refused, unreachable, or another server's answer."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._http = httpx.Client(base_url=place.url, timeout=PATIENCE, trust_env=not place.is_local)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        return self._call("GET", path, params=given).document

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> ApiAnswer:
        return self._call("POST", path, json=body, headers=headers)

    def put(self, path: str, body: Any) -> dict[str, Any]:
        return self._call("PUT", path, json=body).document

    def patch(self, path: str, body: Any) -> ApiAnswer:
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def _call(self, method: str, path: str, **more: Any) -> ApiAnswer:
        try:
            response = self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise unreachable(self._place, error) from None
        return read_answer(self._place, response)


def read_answer(place: Place, response: httpx.Response) -> ApiAnswer:
    """The answer of a success. Raises Failure with the API's own problem, or where it is not the API that answers."""
    if response.status_code == HTTPStatus.NO_CONTENT:
        return ApiAnswer(response.status_code, {})
    document = document_of(place, response)
    if response.is_success:
        return ApiAnswer(response.status_code, document)
    raise refusal(response.status_code, document)


def document_of(place: Place, response: httpx.Response) -> dict[str, Any]:
    """What the API says; words that somebody has written move no cursor of the terminal that shows them."""
    try:
        document = all_made_readable(json.loads(response.content, parse_float=Decimal))
    except ValueError:
        document = None
    if isinstance(document, dict) and (response.is_success or "detail" in document):
        return document
    phrase = HTTPStatus(response.status_code).phrase if response.status_code in set(HTTPStatus) else ""
    raise Failure(
        "not_the_api",
        f"{place.url} answers {response.status_code} {phrase}, but not as the API of Order Saga does",
        mend=f"the address comes from {place.source}; name another one with --api",
        status=response.status_code,
    )


def refusal(status: int, problem: Mapping[str, Any]) -> Failure:
    """The Failure that carries a problem document of the API."""
    known = ("type", "title", "code", "detail", "errors", "status")
    return Failure(
        str(problem.get("code") or "refused"),
        str(problem["detail"]),
        errors=problem.get("errors") or (),
        status=status,
        **{name: value for name, value in problem.items() if name not in known},
    )


def unreachable(place: Place, error: httpx.HTTPError) -> Failure:
    slow = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
    what = f"did not answer in {PATIENCE:.0f} s" if slow else "cannot be reached"
    return Failure(
        "api_unreachable",
        f"the API at {place.url} {what} ({type(error).__name__})",
        mend=f"start it (`make up`), or name another address with --api; this one comes from {place.source}",
        api=place.url,
    )
