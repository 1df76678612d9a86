"""Text that a terminal or a page shows as it is: nothing in it moves the cursor, hides words or turns them around.

The marks that turn the direction of writing: https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters.
"""

from __future__ import annotations

import re
from typing import Any

_UNREADABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, a terminal's escape sequences among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of direction
    "\u2028\u2029"  # ends of lines and paragraphs
    "\ud800-\udfff]"  # halves of a pair, which UTF-8 cannot carry
)


def is_readable(text: str) -> bool:
    """Whether all of `text` is shown as it stands; a line break is not."""
    return _UNREADABLE.search(text) is None


def made_readable(text: str) -> str:
    """`text` with a visible sign in place of each character that is not shown as it stands."""
    return _UNREADABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def all_made_readable(value: Any) -> Any:
    """A JSON document with all of its texts, and names, made readable."""
    if isinstance(value, str):
        return made_readable(value)
    if isinstance(value, dict):
        return {made_readable(name): all_made_readable(one) for name, one in value.items()}
    return [all_made_readable(one) for one in value] if isinstance(value, list) else value
