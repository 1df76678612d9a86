"""Ways to send mail that tests can look into, and make fail."""

from __future__ import annotations

from adapters.mail.port import Mail, Mailer


class FakeMailer(Mailer):
    """`fails` are raised in turn, one for each message that is to be sent."""

    def __init__(self, *, repeatable: bool = False) -> None:
        self.repeatable = repeatable
        self.sent: list[Mail] = []
        self.fails: list[Exception] = []

    async def send(self, mail: Mail) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.sent.append(mail)

    @property
    def kinds(self) -> list[str]:
        return [mail.headers["X-Message-Kind"] for mail in self.sent]
