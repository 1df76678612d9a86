"""The HTTP API for an import: many calls at a time, each tried again while the API is away or busy."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from commandline.api_client import PATIENCE, ApiAnswer, document_of, unreachable
from commandline.credentials import credential_for
from commandline.failures import Failure
from commandline.places import Place

BUSY = frozenset([429, 502, 503, 504])
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds


class PatientApi:
    """Answers of every status, but those that mean "later": after `patience` seconds of them it raises Failure."""

    def __init__(self, place: Place, concurrency: int, patience: float, who: httpx.Auth | None = None) -> None:
        self._place, self._patience = place, patience
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._http = httpx.AsyncClient(
            base_url=place.url,
            timeout=PATIENCE,
            limits=limits,
            trust_env=not place.is_local,
            auth=credential_for(place) if who is None else who,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, params: Mapping[str, Any] | None = None) -> ApiAnswer:
        return await self._insist("GET", path, params=params)

    async def post(self, path: str, body: Any, key: str | None = None) -> ApiAnswer:
        """Only for what may be asked twice: a repeat after a lost answer must change nothing."""
        return await self._insist("POST", path, json=body, headers={"Idempotency-Key": key} if key else None)

    async def post_once(self, path: str, body: Any) -> ApiAnswer | None:
        """For what must not be asked twice: None when it is not known whether it was done."""
        try:
            response = await self._http.post(path, json=body)
        except httpx.HTTPError:
            return None
        return None if response.status_code >= 500 else ApiAnswer(response.status_code, self._read(response))

    async def _insist(self, method: str, path: str, **more: Any) -> ApiAnswer:
        until, pause = time.monotonic() + self._patience, FIRST_PAUSE
        while True:
            try:
                response = await self._http.request(method, path, **more)
            except httpx.HTTPError as error:
                why = unreachable(self._place, error)
                wait = pause
            else:
                if response.status_code not in BUSY:
                    return ApiAnswer(response.status_code, self._read(response))
                why = Failure("api_busy", f"the API at {self._place.url} answers {response.status_code} for too long")
                wait = max(pause, _retry_after(response))
            if time.monotonic() + wait > until:
                again = "the same command goes on where this one stopped"
                why.mend = f"{why.mend}; {again}" if why.mend else again
                raise why
            await asyncio.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        return document_of(self._place, response)


def _retry_after(response: httpx.Response) -> float:
    said = response.headers.get("Retry-After", "")
    return min(float(said), LONGEST_PAUSE) if said.isdigit() else 0.0


def problem_words(answer: ApiAnswer) -> str:
    """A refusal in one line: its code, what the API says, and each bad field."""
    problem = answer.document
    fields = "; ".join(f"{error['field']}: {error['message']}" for error in problem.get("errors") or ())
    said = f"{problem.get('code', answer.status)}: {problem.get('detail', json.dumps(problem))}"
    return f"{said} ({fields})" if fields else said
