"""Renders messages to customers: one short text per kind and locale, a frame for text and one for HTML per locale.

A text is `templates/<locale>/<kind>.txt`: its first line is the subject, its paragraphs are parted by empty lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from domain.cloud_events import CloudEvent
from domain.events import OrderEventData
from domain.notifications import MessageKind

TEMPLATES = Path(__file__).parent / "templates"
LOCALES = tuple(sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir()))
FALLBACK = "en"
DECIMAL_COMMA = frozenset({"de"})  # locales that write 1,50


class Rendered(NamedTuple):
    """A message as it is read."""

    locale: str
    subject: str
    text: str
    html: str


class Shop(NamedTuple):
    """What every message says of the shop; `order_page` has `{order_id}` in the place of an order's id."""

    name: str
    order_page: str


def render(
    kind: MessageKind, locale: str | None, event: CloudEvent, shop: Shop, name: str, products: Mapping[str, str]
) -> Rendered:
    """The message of an event; `products` has names by id. A locale without templates reads as `en`, `de-AT` as `de`.

    Raises pydantic's ValidationError where the event is none of an order.
    """
    language = _known(locale)
    order = OrderEventData.model_validate(event.data)
    values = _values(order, language, shop, name, products)
    subject, _, body = _environment().get_template(f"{language}/{kind}.txt").render(values).strip().partition("\n")
    paragraphs = [" ".join(part.split()) for part in body.split("\n\n") if part.strip()]
    framed = {**values, "subject": subject.strip(), "paragraphs": paragraphs}
    text, html = (_environment().get_template(f"{language}/frame.{form}").render(framed) for form in ("txt", "html"))
    return Rendered(language, " ".join(subject.split()), text.strip() + "\n", html)


def has_texts(locale: str) -> bool:
    """Whether there are texts in the language of a locale: `de-AT` reads as `de`."""
    return _language(locale) in LOCALES


def _known(locale: str | None) -> str:
    language = _language(locale or FALLBACK)
    return language if language in LOCALES else FALLBACK


def _language(locale: str) -> str:
    return locale.replace("_", "-").partition("-")[0].lower()


def _values(
    order: OrderEventData, language: str, shop: Shop, name: str, products: Mapping[str, str]
) -> dict[str, Any]:
    def money(amount: str) -> str:
        return f"{amount.replace('.', ',') if language in DECIMAL_COMMA else amount} {order.currency}"

    items = [
        {
            "name": products.get(item.product_id, item.product_id),
            "quantity": item.quantity,
            "price": money(item.price),
        }
        for item in order.items
    ]
    return {
        "shop": shop.name,
        "name": name,
        "order_id": order.order_id,
        "number": order.order_id[:8].upper(),
        "page": shop.order_page.replace("{order_id}", order.order_id),
        "items": items,
        "total": money(order.total_amount),
        "amount": money(order.amount or order.total_amount),
        "tracking_number": order.tracking_number,
        "reason": order.reason,
        "may_pay_again": order.order_status == "AWAITING_CUSTOMER",
    }


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,  # a misspelled name fails the test that renders all, and not a customer's message
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
