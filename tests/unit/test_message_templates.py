"""Messages to customers: every kind in every locale, as text and as HTML."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import EventName
from domain.notifications import MESSAGES, MessageKind
from services.notifications.rendering import LOCALES, Rendered, Shop, render
from tests.support.consumers import order_event

SHOP = Shop("Lamps & More", "https://shop.example/orders/{order_id}")
ORDER = "0123456789abcdef0123456789abcdef"


def rendered(kind: MessageKind, locale: str | None = "en", name: str = "Alice Johnson", **data: Any) -> Rendered:
    event_name = next(event for event, of in MESSAGES.items() if of is kind)
    fields: dict[str, Any] = {"trackingNumber": "TRACK-1", "reason": "out_of_stock", "amount": "12.50", **data}
    return render(kind, locale, order_event(ORDER, 1, event_name, **fields), SHOP, name, {"001": "Lamp <40 W>"})


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("kind", list(MessageKind))
def test_renders_every_message(kind: MessageKind, locale: str) -> None:
    """Subject, greeting, lines, total and a link are in both forms, and nothing of the template is left."""
    made = rendered(kind, locale)
    assert made.locale == locale
    assert "01234567" in made.subject and "\n" not in made.subject
    total = "79,99 USD" if locale == "de" else "79.99 USD"
    for form in (made.text, made.html):
        assert "Alice Johnson" in form and total in form and ORDER in form
        assert "{{" not in form and "{%" not in form and "None" not in form
    assert "Lamp <40 W>" in made.text and "Lamp &lt;40 W&gt;" in made.html
    assert f"https://shop.example/orders/{ORDER}" in made.text
    assert max(map(len, made.text.splitlines())) <= 100
    assert made.html.count("<p>") >= 2 and made.html.rstrip().endswith("</html>")


def test_two_locales_have_the_same_kinds() -> None:
    """And they are not the same words."""
    assert set(LOCALES) >= {"de", "en"}
    subjects = [rendered(kind, locale).subject for locale in LOCALES for kind in MessageKind]
    assert len(set(subjects)) == len(subjects)


@pytest.mark.parametrize(
    ("wanted", "given"), [("de-AT", "de"), ("de_CH", "de"), ("DE", "de"), ("fr", "en"), (None, "en")]
)
def test_a_locale_without_templates_falls_back(wanted: str | None, given: str) -> None:
    """To its language, and then to English."""
    assert rendered(MessageKind.PLACED, wanted).locale == given


def test_what_is_told_depends_on_the_event() -> None:
    """The next step after a decline, the tracking number, what is given back."""
    again = rendered(MessageKind.DECLINED, orderStatus="AWAITING_CUSTOMER").text.replace("\n", " ")
    ended = rendered(MessageKind.DECLINED, orderStatus="PLACED").text.replace("\n", " ")
    assert "another payment method here: https://" in again and "order again" not in again
    assert "order again with another payment method" in ended
    assert "TRACK-1" in rendered(MessageKind.SHIPPED).text
    assert "tracking number" not in rendered(MessageKind.SHIPPED, trackingNumber=None).text
    assert "12.50 USD" in rendered(MessageKind.REFUNDED).subject
    assert "not enough stock" in rendered(MessageKind.REJECTED).text
    assert "not enough stock" not in rendered(MessageKind.REJECTED, reason="address_refused").text


def test_a_name_is_no_markup() -> None:
    """Whatever customers call themselves."""
    made = rendered(MessageKind.PLACED, name="<b>Bob</b>")
    assert "<b>" not in made.html and "<b>Bob</b>" in made.text


def test_every_message_has_an_event() -> None:
    """No kind that nothing ever sends."""
    assert set(MESSAGES.values()) == set(MessageKind)
    assert EventName.INVENTORY_UPDATED not in MESSAGES
