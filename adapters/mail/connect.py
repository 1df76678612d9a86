"""Chooses the way to send mail by a URL: `folder:PATH`, `smtp://` or `smtps://[USER:PASSWORD@]HOST[:PORT]`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from adapters.mail.folder import MailFolder
from adapters.mail.port import Mailer
from adapters.mail.smtp import SmtpMailer, SmtpServer

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
TLS = {"smtp": "none", "smtp+starttls": "starttls", "smtps": "implicit"}


def open_mailer(url: str, sender: str) -> Mailer:
    """Raises ValueError, without the URL, which may hold a password."""
    parts = urlsplit(url)
    if parts.scheme == "folder":
        return MailFolder(Path(unquote(f"{parts.netloc}{parts.path}")), sender)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"is not folder:PATH, or {', '.join(f'{name}://HOST' for name in PORTS)}")
    server = SmtpServer(
        parts.hostname,
        parts.port or PORTS[parts.scheme],
        TLS[parts.scheme],
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
    )
    return SmtpMailer(server, sender)
