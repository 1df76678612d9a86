"""The codec server: shows what is encrypted in Temporal to people, in the Web UI and the `temporal` command.

`python codec_server.py` listens on `ORDERSAGA_CODEC_HOST` and `ORDERSAGA_CODEC_PORT`. It decrypts and nothing else,
for who shows a token: as a header, as the command and a Web UI with a login send it, or as a cookie, which a Web UI
without a login sends after `/sign-in` (docs/web-ui.md). The log says who read how much.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import parse_qsl

import structlog
import uvicorn
from google.protobuf.json_format import MessageToDict, Parse, ParseError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payloads

from adapters.identities.key_sources import AddressOfKeys, FileOfKeys
from adapters.identities.keys import Keys
from adapters.identities.tokens import Tokens
from adapters.process import exit_code, leave
from adapters.settings import Settings
from adapters.temporal.codec_readers import Readers
from adapters.temporal.encryption import CannotDecrypt, Encryption
from adapters.temporal.key_ring import KeyRing, KeysUnusable

LARGEST = 1024 * 1024  # bytes of a request, and of what it decrypts to
LARGEST_TOKEN = 8 * 1024
COOKIE, COOKIE_LIFE = "ordersaga-codec", 8 * 3600  # seconds
SAFE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # with none at all browsers would send the form without its origin
}
SIGN_IN = """<!doctype html><title>Codec server</title>
<form method="post"><p>{said}</p><label>Token <input name="token" type="password" autofocus></label>
<button>Sign in</button></form>"""

log = structlog.get_logger("codec_server")


class Verifier(Protocol):
    """Knows who shows a token that may `codec:decode`."""

    async def who(self, token: str) -> str | None: ...


class CodecServer:
    """Answers for one namespace and one Web UI."""

    def __init__(self, codec: Encryption, namespace: str, verifier: Verifier, ui: str) -> None:
        self._codec, self._namespace, self._verifier, self._ui = codec, namespace, verifier, ui

    async def decode(self, request: Request) -> Response:
        """The payloads of the body, in clear (https://docs.temporal.io/codec-server)."""
        if request.headers.get("origin", self._ui) != self._ui:
            return _refusal(403, "another page than the Web UI asks")
        who = await self._verifier.who(_token(request))
        if who is None:
            return _refusal(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
        namespace = request.headers.get("x-namespace", self._namespace)
        if namespace != self._namespace:
            return _refusal(403, f"only payloads of the namespace {self._namespace} are decrypted here")
        body = await _body(request)
        if body is None:
            return _refusal(413, f"a request has {LARGEST} bytes at most")
        try:
            encrypted = Parse(body, Payloads()).payloads
            clear = await self._codec.decode(encrypted)
        except (ParseError, UnicodeDecodeError, RecursionError):
            return _refusal(400, "the body is no list of payloads")
        except CannotDecrypt as error:
            log.warning("payloads_not_decrypted", by=who, problem=str(error))
            return _refusal(422, str(error))
        log.info("payloads_decrypted", by=who, payloads=len(clear))
        return JSONResponse(MessageToDict(Payloads(payloads=clear)), headers=SAFE)

    async def sign_in(self, request: Request) -> Response:
        """A form; with a token that counts, a cookie that only this server and no script gets."""
        if request.method != "POST":
            return self._form("Your token is needed to read what is encrypted.")
        origin = f"{request.url.scheme}://{request.url.netloc}"
        body = await _body(request, LARGEST_TOKEN) if request.headers.get("origin", origin) == origin else None
        if body is None:
            return self._form("This came from another page.", 403)
        token = _fields(body).get("token", "").strip()
        who = await self._verifier.who(token)
        if who is None:
            log.warning("codec_sign_in_refused")
            return self._form("Nobody has this token.", 401)
        log.info("codec_signed_in", by=who)
        answer = RedirectResponse(self._ui, 303, headers=SAFE)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, token, COOKIE_LIFE, httponly=True, samesite="strict", secure=secure)
        return answer

    def _form(self, said: str, status: int = 200) -> Response:
        """Browsers hold a form's target to the policy, and the page that its answer leads to as well."""
        policy = f"{SAFE['Content-Security-Policy']}; form-action 'self' {self._ui}"
        headers = SAFE | {"Content-Security-Policy": policy}
        return HTMLResponse(SIGN_IN.format(said=html.escape(said)), status, headers=headers)


async def healthy(request: Request) -> Response:
    """The event loop turns."""
    return JSONResponse({"status": "ok"}, headers=SAFE)


async def _unusable(request: Request, error: Exception) -> Response:
    log.error("codec_tokens_unusable", problem=str(error))
    return _refusal(503, "tokens cannot be checked")


def create_app(codec: Encryption, namespace: str, verifier: Verifier, ui: str) -> Starlette:
    """`ui` is the origin of the Web UI, the only page whose scripts are answered."""
    server = CodecServer(codec, namespace, verifier, ui)
    cors = Middleware(
        CORSMiddleware,
        allow_origins=[ui],
        allow_methods=["POST"],
        allow_headers=["authorization", "content-type", "x-namespace"],
        allow_credentials=True,
    )
    routes = [
        Route("/decode", server.decode, methods=["POST"]),
        Route("/sign-in", server.sign_in, methods=["GET", "POST"]),
        Route("/healthz", healthy, methods=["GET"]),
    ]
    return Starlette(routes=routes, middleware=[cors], exception_handlers={KeysUnusable: _unusable})


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = token.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE, "")
    return found if len(found) <= LARGEST_TOKEN else ""


async def _body(request: Request, largest: int = LARGEST) -> bytes | None:
    """None for one that is too large, of which no more is read."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > largest:
            return None
    return body


def _fields(body: bytes) -> Mapping[str, str]:
    return dict(parse_qsl(body.decode(errors="replace"), max_num_fields=10))


def _refusal(status: int, said: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"message": said}, status, headers={**SAFE, **(headers or {})})


async def run(settings: Settings) -> None:
    """Serves until it is told to stop. Raises KeysUnusable."""
    if settings.temporal_keys_file is None or settings.codec_tokens_file is None:
        raise KeysUnusable("ORDERSAGA_TEMPORAL_KEYS_FILE and ORDERSAGA_CODEC_TOKENS_FILE have to be set")
    codec = Encryption(KeyRing(settings.temporal_keys_file), settings.temporal_namespace)
    file = settings.identity_file
    keys = Keys(AddressOfKeys(settings.identity_jwks) if file is None else FileOfKeys(file))
    issuers = Tokens(keys, settings.identity_issuer, settings.identity_audience)
    verifier = Readers(settings.codec_tokens_file, issuers)
    app = create_app(codec, settings.temporal_namespace, verifier, settings.temporal_ui_origin)
    host, port = settings.codec_host, settings.codec_port
    config = uvicorn.Config(app, host, port, log_config=None, access_log=False, server_header=False, lifespan="off")
    try:
        await uvicorn.Server(config).serve()
    finally:
        await keys.aclose()


def main() -> int:
    return exit_code("codec_server", run, lambda settings: 0)


if __name__ == "__main__":
    leave(main())
