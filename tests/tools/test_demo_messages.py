"""The demo's look into the folder of messages."""

from __future__ import annotations

from pathlib import Path

from adapters.mail.folder import MailFolder
from adapters.mail.port import Mail
from devstack.demo.messages import messages_of


async def test_tells_the_last_message_of_each_order(tmp_path: Path) -> None:
    """By the order in which they were sent, with subjects in any language."""
    mailer = MailFolder(tmp_path, "Shop <orders@shop.example>")
    for number, (order, kind) in enumerate([("a", "placed"), ("b", "placed"), ("a", "delivered"), ("b", "canceled")]):
        headers = {"X-Order-Id": order, "X-Message-Kind": kind}
        await mailer.send(
            Mail(f"{number:09d}", "Alice", "a@example.com", f"Für {order}: {kind}", "x", "x", "en", headers)
        )

    assert await messages_of(tmp_path, ["a", "b"]) == {
        "a": ("delivered", "Für a: delivered"),
        "b": ("canceled", "Für b: canceled"),
    }
