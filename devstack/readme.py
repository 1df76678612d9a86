"""Keeps the generated tables of README and docs/ in step with the code: `python -m devstack.readme` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from adapters.settings import Settings
from api.events import asyncapi
from devstack import role_table
from devstack.events import tables
from domain import cancellation, data_classes, repairs
from domain.parcels import ShippingOrigin
from services import privileges

README = Path(__file__).resolve().parent.parent / "README.md"
DOCS = README.parent / "docs"


def settings_table() -> str:
    """Every setting: the variable that it is read from, its default, what it is for."""
    rows = ["| variable | default | what it is for |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(
            f"| {_variable(name, field)} | {_default(field)} | {field.description or name.replace('_', ' ')} |"
        )
    return "\n".join(rows)


def _variable(name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, AliasChoices):
        return f"`{field.validation_alias.choices[-1]}`"
    return f"`ORDERSAGA_{name.upper()}`"


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr | ShippingOrigin):
        return "the embedded stack's"
    if value is PydanticUndefined:
        return "by `TEMPORAL_*`, else local"
    return "unset" if value is None else f"`{value}`"


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    README: {"cancel table": cancellation.markdown_table},
    DOCS / "settings.md": {"settings": settings_table},
    DOCS / "security.md": {"role table": role_table.markdown_table, "privileges": privileges.markdown_table},
    DOCS / "privacy.md": {"data classes": data_classes.markdown_table},
    DOCS / "repair-desk.md": {"tickets": repairs.markdown_table},
    DOCS / "merchant-webhooks.md": {"verification": partial(tables.consumer, "verify_webhook.py")},
    DOCS / "events.md": {
        "events": tables.events_table,
        "fields": tables.fields_tables,
        "older schemas": tables.references_table,
        "OrderCreated": tables.order_created,
        "consumer on NATS": partial(tables.consumer, "consume_nats.py"),
        "consumer on Kafka": partial(tables.consumer, "consume_kafka.py"),
        "examples": tables.examples,
    },
}
"""The generated tables of each document, by the name in the comment that marks their place."""


def with_tables(text: str, page: Path) -> str:
    """`text` with every table of `page` as the code has it now. Raises ValueError where a place is missing."""
    for name, table in PAGES[page].items():
        place = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        new = table()
        text, count = place.subn(lambda match, new=new: f"{match[1]}{new}\n{match[2]}", text)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{page.name} has {count} places for the {name}, not one")
    return text


def asyncapi_json() -> str:
    """The document that the API serves at `/asyncapi.json`, for whoever reads the repository."""
    return json.dumps(asyncapi.document(), indent=1) + "\n"


FILES = {DOCS / "asyncapi.json": asyncapi_json}
"""The documents that are generated as a whole."""


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text(), page))
    for file, contents in FILES.items():
        file.write_text(contents())
