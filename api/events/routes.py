"""What consumers of events need to know: `/asyncapi.json` for programs, `/events` for people."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from api.events import asyncapi, page
from api.http import html

router = APIRouter(tags=["events"])

HERE = Path(__file__).parent


@router.get("/asyncapi.json", summary="The events that the service sends (AsyncAPI 3)")
async def asyncapi_document() -> dict[str, Any]:
    return asyncapi.document()


@router.get("/events", include_in_schema=False)
async def events_page() -> HTMLResponse:
    return html.page(page.rendered())


@router.get("/events/page.css", include_in_schema=False)
async def style_of_the_page() -> Response:
    return html.file(_style(), "text/css", html.DAY)


@cache
def _style() -> bytes:
    return (HERE / "page.css").read_bytes()
