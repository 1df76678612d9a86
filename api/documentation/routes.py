"""`/docs`: Swagger UI from the wheel `swagger-ui-bundle`, with nothing from the internet.

The wheel has Swagger UI 4, which reads OpenAPI 3.0: it gets the document in these words (`openapi_3_0.py`), while
`/openapi.json` stays as FastAPI writes it, in 3.1.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, JSONResponse
from swagger_ui_bundle import swagger_ui_path

from api.documentation.openapi_3_0 import in_words_of_3_0
from api.http.html import DAY, file, page
from api.http.problems import documented

router = APIRouter(prefix="/docs", include_in_schema=False)

HERE = Path(__file__).parent
FILES = {
    "swagger-ui.css": (Path(swagger_ui_path), "text/css"),
    "swagger-ui-bundle.js": (Path(swagger_ui_path), "text/javascript"),
    "favicon-32x32.png": (Path(swagger_ui_path), "image/png"),
    "start.js": (HERE, "text/javascript"),
}
"""What the page loads, and where it lies."""
FileName = Literal["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "start.js"]


@router.get("")
async def swagger_ui() -> HTMLResponse:
    return page(_contents("index.html").decode(), script_src="'self'", connect_src="'self'")


@router.get("/openapi.json")
async def openapi_3_0(request: Request) -> JSONResponse:
    return JSONResponse(in_words_of_3_0(request.app.openapi()))


@router.get("/{name}", responses=documented(422))
async def file_of_the_page(name: Annotated[FileName, InPath()]) -> Response:
    return file(_contents(name), FILES[name][1], DAY)


@cache
def _contents(name: str) -> bytes:
    folder, _ = FILES.get(name, (HERE, ""))
    return (folder / name).read_bytes()
