"""OpenAPI 3.1 in the words of 3.0, for readers that know no other.

Between the two JSON Schema has changed (https://www.openapis.org/blog/2021/02/16/migrating-from-openapi-3-0-to-3-1-0):
null is a flag beside the type, a constant is a list of one, an exclusive bound is a flag, there is one example.
"""

from __future__ import annotations

from typing import Any

OpenAPI = dict[str, Any]

_NULL = {"type": "null"}
_UNKNOWN = frozenset(
    {"propertyNames", "$schema", "$defs", "contentMediaType", "contentEncoding", "unevaluatedProperties"}
)
_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}
_NAMED = frozenset({"properties", "schemas", "patternProperties"})
"""What holds schemas by names that are not words of OpenAPI."""


def in_words_of_3_0(document: OpenAPI) -> OpenAPI:
    """The document as version 3.0.3 says it; the given one stays as it is."""
    told = {name: _told(one) for name, one in document.items()}
    info = {name: one for name, one in document["info"].items() if name != "summary"}
    return told | {"openapi": "3.0.3", "info": info}


def _told(value: Any, *, named: bool = False) -> Any:
    """`named`: the keys of `value` are names, whatever they read."""
    if isinstance(value, list):
        return [_told(one) for one in value]
    if not isinstance(value, dict):
        return value
    if named:
        return {name: _told(one) for name, one in value.items()}
    schema = _without_null(value)
    plain: dict[str, Any] = {}
    for word, one in schema.items():
        if word == "const":
            plain["enum"] = [one]
        elif word in _BOUNDS:
            plain |= {_BOUNDS[word]: one, word: True}
        elif word == "examples" and isinstance(one, list):
            plain["example"] = one[0]
        elif word in ("example", "default", "enum"):
            plain[word] = one
        elif word not in _UNKNOWN:
            plain[word] = _told(one, named=word in _NAMED)
    return {"allOf": [{"$ref": plain.pop("$ref")}], **plain} if "$ref" in plain and len(plain) > 1 else plain


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A choice between something and null is that something, nullable."""
    choices = schema.get("anyOf")
    if not isinstance(choices, list) or _NULL not in choices:
        return schema
    rest = [one for one in choices if one != _NULL]
    other = {word: one for word, one in schema.items() if word != "anyOf"}
    return {**(rest[0] if len(rest) == 1 else {"anyOf": rest}), **other, "nullable": True}
