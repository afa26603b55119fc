"""A mail server for tests that need slow, failing or countable effects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import cast

from aiosmtpd.smtp import SMTP

#: A mail whose subject begins like this takes as long as a test may wait, unless it is cancelled.
SLOW = "slow"
#: A mail whose subject begins like this is refused the first two times.
SHY = "shy"
DELAY = 60.0


@dataclass
class Mailbox:
    port: int = 0
    #: In the order of arrival.
    subjects: list[str] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)
    #: Whole mails, with their recipients.
    mails: list[tuple[tuple[str, ...], EmailMessage]] = field(default_factory=list)
    #: Mails that have begun to be slow.
    begun: list[str] = field(default_factory=list)
    refused: int = 0
    delay: float = DELAY

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802
        lines = envelope.content.decode().splitlines()  # type: ignore[attr-defined]  # aiosmtpd has no types
        headers = dict(line.split(": ", 1) for line in lines[: lines.index("")] if ": " in line)
        subject = headers["Subject"]
        if subject.startswith(SLOW):
            self.begun.append(subject)
            await asyncio.sleep(self.delay)
        if subject.startswith(SHY) and self.refused < 2:
            self.refused += 1
            return "554 not today"
        self.subjects.append(subject)
        self.message_ids.append(headers["Message-ID"])
        read = cast(EmailMessage, message_from_bytes(envelope.content, policy=default))  # type: ignore[attr-defined]
        self.mails.append((tuple(envelope.rcpt_tos), read))  # type: ignore[attr-defined]
        return "250 kept"


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(box), "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()


def send(subject: str) -> dict[str, object]:
    """The step that sends it."""
    return {"call": "email.send", "with": {"to": "ada@example.com", "subject": subject, "text": "Hello"}}
