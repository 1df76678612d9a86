"""What is known of a way to send mail: one message at a time, and three ways in which that can fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, parseaddr

from adapters.clock import now


@dataclass(frozen=True)
class Mail:
    """One message; `key` is its own for ever: the same message has the same key when it is sent again."""

    key: str  # letters, digits, `-`
    name: str
    address: str
    subject: str
    text: str
    html: str
    language: str
    headers: dict[str, str] = field(default_factory=dict)  # others, e.g. X-Order-Id


class MailRefused(Exception):
    """The server does not take this message, and will not take it later."""


class MailAway(Exception):
    """It was not sent; the same may work later."""


class MailDoubtful(Exception):
    """Nobody knows whether it was sent."""


class Mailer(ABC):
    """A way to send mail. `repeatable`: sending the same message again does no harm."""

    repeatable: bool

    @abstractmethod
    async def send(self, mail: Mail) -> None:
        """Raises MailRefused, MailAway or MailDoubtful."""


def composed(mail: Mail, sender: str) -> EmailMessage:
    """The message of RFC 5322, text first, HTML as its alternative. Raises MailRefused for an impossible address."""
    message = EmailMessage()
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    try:
        message["From"], message["To"] = sender, formataddr((mail.name, mail.address))
        message["Subject"] = mail.subject
        for name, value in mail.headers.items():
            message[name] = value
    except ValueError as error:
        raise MailRefused(f"a header is impossible ({type(error).__name__})") from None
    message["Date"], message["Message-ID"] = format_datetime(now()), f"<{mail.key}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    message["Content-Language"] = mail.language
    return message
