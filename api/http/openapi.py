"""The OpenAPI document: what FastAPI cannot derive from the routes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.http.authentication import is_public
from api.http.problems import MEDIA_TYPE, Problem, documented

APPLICATION: dict[str, Any] = {
    "title": "Order Saga",
    "version": "1.0.0",
    "summary": "Orders from checkout to delivery, or fully undone.",
    "description": (
        "Money is a decimal string in major units of its currency. Every error is a problem document "
        f"(RFC 9457, `{MEDIA_TYPE}`) with a stable `type`; `errors` names each bad field. "
        "Names are camelCase; requests may use snake_case. Unknown fields are refused."
    ),
    "openapi_tags": [
        {"name": "orders", "description": "Checkout, tracking and cancel"},
        {"name": "carts", "description": "What customers and guests want, until they order it"},
        {"name": "repairs", "description": "Tickets that need a person, and what operators decide about them"},
        {"name": "products", "description": "The catalogue, where prices come from"},
        {"name": "inventory", "description": "Stock: on hand, reserved, available"},
        {"name": "customers", "description": "Who orders"},
        {"name": "webhooks", "description": "Signed events of Stripe and of the carrier"},
        {"name": "merchant webhooks", "description": "Where merchants get events, and what was delivered"},
        {"name": "events", "description": "What the service tells others; the page `/events` says it to people"},
        {"name": "audit", "description": "What was done, by whom"},
        {"name": "identities", "description": "API keys of programs"},
        {"name": "health", "description": "Liveness and readiness"},
    ],
    # FastAPI's own pages load scripts from the internet: api/documentation/ serves its own.
    "docs_url": None,
    "redoc_url": None,
}


def install(app: FastAPI) -> None:
    """Adds the schema of problems, and drops FastAPI's own shape of errors, which this API never sends."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    _replace_validation_errors(document)
    _secure(document)
    return document


def _secure(document: dict[str, Any]) -> None:
    """Says which operations need an identity, and how they refuse one who has none, or too little."""
    about = "a token of the issuer (a JWT), or an API key (os_...)"
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "description": about}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if is_public(path) else [{"bearer": []}]
            if not is_public(path):
                refused = documented(401, 403, 429)
                operation["responses"] |= {str(status): refused[status] for status in (401, 403, 429)}


def _replace_validation_errors(document: dict[str, Any]) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            refusal = operation["responses"].get("422")
            if refusal and "application/json" in refusal.get("content", {}):
                refusal["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
