"""Retrieve, list, search and `expand`: everything that changes nothing."""

import json
import re
from collections.abc import Callable
from typing import Any

from devstack.simulators.durable_store import Document
from devstack.stripe.account import Call, StripeAccount
from devstack.stripe.errors import invalid_request
from devstack.stripe.parameters import Params

_COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_EXPANDABLE = {
    "latest_charge": "charge",
    "charge": "charge",
    "payment_intent": "payment_intent",
    "customer": "customer",
    "review": "review",
}
_CLAUSE = re.compile(r"""^(?:metadata\[(['"])([\w.-]+)\1\]|(status|customer|currency|amount)):(['"]?)([^'"]*)\4$""")
_CURSORS = {
    "starting_after": "seq < (SELECT seq FROM documents WHERE id = ?)",
    "ending_before": "seq > (SELECT seq FROM documents WHERE id = ?)",
}
_URLS = {kind: f"/v1/{kind}s" for kind in ("payment_intent", "refund", "event", "customer", "dispute", "review")}

_MOST_TYPES = 20  # docs.stripe.com/api/events/list

Operation = Callable[[Call], Document]


class StripeReads:
    """Lists are fresh; search lags behind by a setting, as Stripe warns (docs.stripe.com/search)."""

    def __init__(self, account: StripeAccount) -> None:
        self._account = account

    def retrieve(self, kind: str) -> Operation:
        param = "intent" if kind == "payment_intent" else "id"
        return lambda call: self._account.get(kind, call.subject, param)

    def list_of(self, kind: str) -> Operation:
        def run(call: Call) -> Document:
            return self._page(kind, call.params)

        return run

    def search(self, call: Call) -> Document:
        params = call.params
        limit = _limit(params)
        visible_until = self._account.store.now() - self._account.settings.search_lag_seconds
        conditions: list[tuple[str, object]] = [("created <= ?", visible_until), *_search_conditions(params["query"])]
        if "page" in params:
            conditions.append((_CURSORS["starting_after"], params["page"]))
        found = self._account.store.newest("payment_intent", conditions, limit + 1)
        more = len(found) > limit
        return {
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "has_more": more,
            "data": found[:limit],
            "next_page": found[limit - 1]["id"] if more else None,
        }

    def _page(self, kind: str, params: Params) -> Document:
        limit = _limit(params)
        conditions = _list_conditions(params)
        for name, condition in _CURSORS.items():
            if name in params:
                self._account.get(kind, params[name], name)
                conditions.append((condition, params[name]))
        found = self._account.store.newest(kind, conditions, limit + 1)
        return {"object": "list", "url": _URLS[kind], "has_more": len(found) > limit, "data": found[:limit]}

    def expand(self, document: Document, paths: list[str]) -> Document:
        """Replace ids by objects, for `latest_charge` or, in lists, `data.latest_charge`."""
        for path in paths:
            self._expand_path(document, path.split("."), path)
        return document

    def _expand_path(self, node: Any, parts: list[str], path: str) -> None:
        name, rest = parts[0], parts[1:]
        if isinstance(node, list):
            for item in node:
                self._expand_path(item, parts, path)
            return
        if not isinstance(node, dict) or name not in node or (name != "data" and name not in _EXPANDABLE):
            raise invalid_request(f"This property cannot be expanded ({path}).", param="expand")
        if isinstance(node[name], str):
            node[name] = self._account.get(_EXPANDABLE[name], node[name])
        if rest and node[name] is not None:
            self._expand_path(node[name], rest, path)


def _limit(params: Params) -> int:
    limit: int = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise invalid_request("limit must be from 1 to 100", code="parameter_invalid_integer", param="limit")
    return limit


def _list_conditions(params: Params) -> list[tuple[str, object]]:
    # `created` in an object is whole seconds, and so is what a client compares it with.
    conditions: list[tuple[str, object]] = [
        (f"CAST(created AS INTEGER) {_COMPARISONS[name]} ?", at) for name, at in params.get("created", {}).items()
    ]
    for name in ("customer", "payment_intent"):
        if name in params:
            conditions.append(("owner = ?", params[name]))
    if "charge" in params:
        conditions.append(("json_extract(body, '$.charge') = ?", params["charge"]))
    if "email" in params:
        conditions.append(("json_extract(body, '$.email') = ?", params["email"]))
    if "type" in params and "types" in params:
        raise invalid_request("Give type or types, not both.", code="parameters_exclusive", param="types")
    if len(params.get("types", [])) > _MOST_TYPES:
        raise invalid_request(f"Give at most {_MOST_TYPES} types.", param="types")
    if "type" in params:
        conditions.append(("owner GLOB ?", params["type"]))
    if "types" in params:
        conditions.append(("owner IN (SELECT value FROM json_each(?))", json.dumps(params["types"])))
    return conditions


def _search_conditions(query: str) -> list[tuple[str, object]]:
    """`metadata['order_id']:'o1' AND status:'succeeded'`, a part of docs.stripe.com/search#search-query-language."""
    conditions: list[tuple[str, object]] = []
    for clause in re.split(r"\s+AND\s+", query.strip(), flags=re.IGNORECASE):
        match = _CLAUSE.match(clause)
        if match is None:
            raise invalid_request(f"We were unable to parse your search query at: {clause}", param="query")
        _, key, field, _, value = match.groups()
        if key:
            conditions.append((f"json_extract(body, '$.metadata.\"{key}\"') = ?", value))
        else:
            conditions.append((f"CAST(json_extract(body, '$.{field}') AS TEXT) = ?", value))
    return conditions
