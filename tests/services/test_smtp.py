"""Mail by SMTP against a server that is a process of its own, and as files of a folder."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from adapters.mail.connect import open_mailer
from adapters.mail.folder import MailFolder
from adapters.mail.port import Mail, MailAway, MailDoubtful, MailRefused
from adapters.mail.smtp import SmtpMailer, SmtpServer
from tests.support.warm_interpreter import PROJECT

SENDER = "Shop <orders@shop.example>"
MAIL = Mail(
    key="000000001-placed-1",
    name="Jörg Müller",
    address="joerg@example.com",
    subject="Ihre Bestellung ist unterwegs – endlich",
    text="Guten Tag\n.\nEin Punkt allein endet nichts.\n",
    html="<p>Guten Tag</p>",
    language="de",
    headers={"X-Order-Id": "o-1"},
)


@asynccontextmanager
async def server(folder: Path, behaviour: str = "takes") -> AsyncIterator[SmtpServer]:
    """One that takes mail into a folder, or does what it is told to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.smtp_process",
        str(folder),
        behaviour,
        cwd=PROJECT,
        stdout=PIPE,
        stdin=PIPE,
    )
    assert process.stdout is not None
    try:
        yield SmtpServer("127.0.0.1", int(await process.stdout.readline()))
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def read(file: Path) -> EmailMessage:
    found = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def assert_is_mail(message: EmailMessage) -> None:
    """Whole, in both forms, with every letter as it was written."""
    assert message["Subject"] == MAIL.subject
    assert message["To"].addresses[0].display_name == MAIL.name
    assert message["To"].addresses[0].addr_spec == MAIL.address
    assert message["Message-ID"] == "<000000001-placed-1@shop.example>"
    assert (message["X-Order-Id"], message["Content-Language"]) == ("o-1", "de")
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None and text.get_content().replace("\r\n", "\n") == MAIL.text
    assert html is not None and html.get_content().strip() == MAIL.html


async def test_a_server_gets_the_message_as_it_was_written(tmp_path: Path) -> None:
    """By a process of its own, over a socket."""
    async with server(tmp_path) as where:
        await SmtpMailer(where, SENDER).send(MAIL)

    assert_is_mail(read(tmp_path / "1.eml"))


@pytest.mark.parametrize(
    ("behaviour", "failure"),
    [
        ("refuses_recipient", MailRefused),
        ("recipient_busy", MailAway),
        ("refuses_data", MailRefused),
        ("data_busy", MailAway),
        ("dies_after_data", MailDoubtful),
        ("silent_after_data", MailDoubtful),
    ],
)
async def test_tells_three_failures_apart(tmp_path: Path, behaviour: str, failure: type[Exception]) -> None:
    """Refused for good, not sent yet, and nobody knows. None of them quotes the address."""
    async with server(tmp_path, behaviour) as where:
        with pytest.raises(failure) as failed:
            await SmtpMailer(where, SENDER, answer=1.0).send(MAIL)
    assert MAIL.address not in str(failed.value)


async def test_a_server_that_is_away_has_sent_nothing() -> None:
    """So the message may be sent later."""
    with pytest.raises(MailAway):
        await SmtpMailer(SmtpServer("127.0.0.1", 9), SENDER, answer=1.0).send(MAIL)


async def test_an_impossible_header_is_refused(tmp_path: Path) -> None:
    """A line break in a name could make headers of its own."""
    with pytest.raises(MailRefused):
        await MailFolder(tmp_path, SENDER).send(replace(MAIL, subject="a\nBcc: b@example.com"))


async def test_a_folder_has_one_file_for_each_message(tmp_path: Path) -> None:
    """Also when it is sent again."""
    folder = tmp_path / "made" / "when needed"
    mailer = MailFolder(folder, SENDER)
    await mailer.send(MAIL)
    await mailer.send(MAIL)

    (file,) = folder.iterdir()
    assert file.name == "000000001-placed-1.eml"
    assert_is_mail(read(file))


async def test_a_folder_that_cannot_be_written_is_away(tmp_path: Path) -> None:
    """Somebody can mend that."""
    (tmp_path / "file").touch()
    with pytest.raises(MailAway):
        await MailFolder(tmp_path / "file" / "folder", SENDER).send(MAIL)


def test_the_url_chooses_the_way() -> None:
    """With the usual ports, and credentials as URLs quote them."""
    assert isinstance(open_mailer("folder:.ordersaga/mail", SENDER), MailFolder)
    for url, where in {
        "smtp://localhost": SmtpServer("localhost", 25),
        "smtps://u%40x:p%2Fw@mail.example": SmtpServer("mail.example", 465, "implicit", "u@x", "p/w"),
        "smtp+starttls://mail.example:2525": SmtpServer("mail.example", 2525, "starttls"),
    }.items():
        mailer = open_mailer(url, SENDER)
        assert isinstance(mailer, SmtpMailer) and mailer.server == where


@pytest.mark.parametrize("url", ["http://secret@mail.example", "smtp://", "mail"])
def test_another_url_is_refused_without_being_quoted(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(ValueError, match="smtp://HOST") as refused:
        open_mailer(url, SENDER)
    assert "secret" not in str(refused.value)
