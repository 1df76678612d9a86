"""OpenAPI 3.1 in the words of 3.0."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from api.documentation.openapi_3_0 import in_words_of_3_0

TEXT = {"type": "string"}
NULL = {"type": "null"}


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ({"anyOf": [TEXT, NULL], "title": "Name"}, {"type": "string", "title": "Name", "nullable": True}),
        ({"anyOf": [TEXT, {"type": "integer"}]}, {"anyOf": [TEXT, {"type": "integer"}]}),
        (
            {"anyOf": [TEXT, {"type": "integer"}, NULL]},
            {"anyOf": [TEXT, {"type": "integer"}], "nullable": True},
        ),
        (
            {"anyOf": [{"$ref": "#/components/schemas/A"}, NULL]},
            {"allOf": [{"$ref": "#/components/schemas/A"}], "nullable": True},
        ),
        ({"const": 1, "type": "integer"}, {"enum": [1], "type": "integer"}),
        ({"exclusiveMinimum": 0}, {"minimum": 0, "exclusiveMinimum": True}),
        ({"exclusiveMaximum": 9}, {"maximum": 9, "exclusiveMaximum": True}),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
        ({"type": "object", "propertyNames": {"maxLength": 3}}, {"type": "object"}),
        (
            {"type": "object", "properties": {"const": {"const": 1}, "examples": TEXT}},
            {"type": "object", "properties": {"const": {"enum": [1]}, "examples": TEXT}},
        ),
        ({"default": {"const": 1}}, {"default": {"const": 1}}),
        ({"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/A"}),
    ],
)
def test_a_schema_says_the_same(new: dict[str, Any], old: dict[str, Any]) -> None:
    """Null, constants, exclusive bounds, examples; names of fields and values stay as they are."""
    given = {"openapi": "3.1.0", "info": {"title": "T"}, "components": {"schemas": {"B": new}}}
    before = copy.deepcopy(given)
    assert in_words_of_3_0(given)["components"]["schemas"]["B"] == old
    assert given == before


def test_the_summary_of_the_document_is_left_out() -> None:
    """3.0 does not know it."""
    told = in_words_of_3_0({"openapi": "3.1.0", "info": {"title": "T", "summary": "S"}})
    assert told == {"openapi": "3.0.3", "info": {"title": "T"}}
