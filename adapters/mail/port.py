"""What is known of a way to send mail: one message at a time, and three ways in which that can fail."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from email.charset import QP, Charset
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr

from adapters.clock import now

LINE_BREAK = re.compile(r"[\r\n]")
UTF_8 = Charset("utf-8")
UTF_8.body_encoding = QP  # so that people can read the source


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


def composed(mail: Mail, sender: str) -> MIMEMultipart:
    """The message of RFC 5322, text first, HTML as its alternative. Raises MailRefused for an impossible header.

    With the older classes of the standard library: those with a policy take 1.6 ms for what takes 0.3 ms here.
    """
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    headers = {
        "From": sender,
        "To": formataddr((mail.name, mail.address)),
        "Subject": mail.subject if mail.subject.isascii() else Header(mail.subject, "utf-8").encode(),
        **mail.headers,
        "Date": format_datetime(now()),
        "Message-ID": f"<{mail.key}@{domain}>",
        "Content-Language": mail.language,
        "Auto-Submitted": "auto-generated",  # RFC 3834
    }
    message = MIMEMultipart("alternative")
    given = (mail.subject, mail.name, mail.address, *mail.headers.values())
    if LINE_BREAK.search("".join(given)) or not mail.address.isascii():
        raise MailRefused("a header is impossible: a line break, or an address that is not ASCII")
    for name, value in headers.items():
        message[name] = value
    message.attach(MIMEText(mail.text, "plain", UTF_8))  # type: ignore[arg-type]  # a Charset is taken, too
    message.attach(MIMEText(mail.html, "html", UTF_8))  # type: ignore[arg-type]
    return message
