"""Whether consumers and stored events of the released schemas still fit the schemas of now.

Both ways: a consumer that was written against what is released reads what is sent now, and what was sent then fits
the schemas of now, since events are kept and come again. So nothing that is said about a field may change. What may
come: fields that need not be there, values of an open list (`x-extensible-enum`), types of events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_WORDS_FOR_PEOPLE = frozenset({"title", "description", "examples", "default", "deprecated"})
_OPEN_LIST = "x-extensible-enum"
_WITH_RULES = frozenset({"properties", "required", "items", _OPEN_LIST})


def breaks(released: Mapping[str, Schema], now: Mapping[str, Schema]) -> list[str]:
    """What would break somebody, a line each that names the schema and the field; empty where everybody is served."""
    found = [f"{name}: is gone" for name in released if name not in now]
    for name, schema in released.items():
        if name in now:
            found += _breaks(name, schema, now[name])
    return found


def _breaks(at: str, released: Schema, now: Schema) -> Iterator[str]:
    words = dict.fromkeys([*released, *now])
    for word in words:
        if word not in _WORDS_FOR_PEOPLE | _WITH_RULES and released.get(word) != now.get(word):
            yield f"{at}: {word} was {released.get(word, 'not there')}, is {now.get(word, 'not there')}"
    yield from _of_lists(at, released, now)
    yield from _of_presence(at, released, now)
    fields = now.get("properties", {})
    for name, field in released.get("properties", {}).items():
        if name in fields:
            yield from _breaks(f"{at}.{name}", field, fields[name])
        else:
            yield f"{at}.{name}: is gone"
    if "items" in released or "items" in now:
        yield from _breaks(f"{at}[]", released.get("items", {}), now.get("items", {}))


def _of_lists(at: str, released: Schema, now: Schema) -> Iterator[str]:
    if (_OPEN_LIST in released) != (_OPEN_LIST in now):
        yield f"{at}: the list of its values was {'open' if _OPEN_LIST in released else 'not open'}"
    elif gone := [value for value in released.get(_OPEN_LIST, ()) if value not in now[_OPEN_LIST]]:
        yield f"{at}: {', '.join(map(str, gone))} is no value any more"


def _of_presence(at: str, released: Schema, now: Schema) -> Iterator[str]:
    before, after = released.get("required", ()), now.get("required", ())
    for name in before:
        if name not in after and name in now.get("properties", {}):
            yield f"{at}.{name}: was always there, may be missing now"
    for name in after:
        if name not in before:
            yield f"{at}.{name}: is required now, and events of before do not have it"
