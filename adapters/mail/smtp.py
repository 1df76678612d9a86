"""Mail by SMTP (RFC 5321): a connection for each message, in a thread, since the standard library's client waits."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.utils import parseaddr

from adapters.mail.port import Mail, MailAway, MailDoubtful, Mailer, MailRefused, composed

ANSWER = 15.0  # seconds for each answer of the server
PERMANENT = 500  # the lowest code of a refusal that stays


@dataclass(frozen=True)
class SmtpServer:
    """Where mail goes; `tls` is `none`, `starttls` after the greeting, or `implicit` from the first byte."""

    host: str
    port: int
    tls: str = "none"
    user: str | None = None
    password: str | None = None


class SmtpMailer(Mailer):
    """A message whose last answer was lost is in doubt: no server tells later whether it has taken it."""

    repeatable = False

    def __init__(self, server: SmtpServer, sender: str, answer: float = ANSWER) -> None:
        """`answer`: seconds that each answer of the server may take."""
        self.server, self._sender, self._answer = server, sender, answer

    async def send(self, mail: Mail) -> None:
        message = composed(mail, self._sender)
        await asyncio.to_thread(self._send, message, mail.address)

    def _send(self, message: bytes, address: str) -> None:
        try:
            connection = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise MailAway(_told(error)) from None
        try:
            self._hand_over(connection, message, address)
        finally:
            connection.close()

    def _connect(self) -> smtplib.SMTP:
        where = self.server
        if where.tls == "implicit":
            context = ssl.create_default_context()
            connection: smtplib.SMTP = smtplib.SMTP_SSL(where.host, where.port, timeout=self._answer, context=context)
        else:
            connection = smtplib.SMTP(where.host, where.port, timeout=self._answer)
        try:
            if where.tls == "starttls":
                connection.starttls(context=ssl.create_default_context())
            if where.user is not None:
                connection.login(where.user, where.password or "")
        except BaseException:
            connection.close()
            raise
        return connection

    def _hand_over(self, connection: smtplib.SMTP, message: bytes, address: str) -> None:
        try:
            connection.ehlo_or_helo_if_needed()
            for code, words in (connection.mail(parseaddr(self._sender)[1]), connection.rcpt(address)):
                _require(code, words)
        except (OSError, smtplib.SMTPException) as error:
            raise MailAway(_told(error)) from None
        try:
            _require(*connection.data(message))
        except smtplib.SMTPDataError as error:
            _require(error.smtp_code, b"")
        except (OSError, smtplib.SMTPException) as error:
            raise MailDoubtful(_told(error)) from None


def _require(code: int, words: bytes) -> None:
    """The server's words are not told: they may quote the address."""
    if code >= PERMANENT:
        raise MailRefused(f"the mail server answered {code}")
    if not 200 <= code < 300:
        raise MailAway(f"the mail server answered {code}")


def _told(error: Exception) -> str:
    return type(error).__name__
