"""The embedded stack's mail as its readers see it: what came to an address, and the link in it."""

import asyncio
import email
import email.policy
import re
import time
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import cast
from urllib.parse import unquote

from perdure.cli.demo_http import DemoFailed

_TOKEN = re.compile(r"[?&]token=([^\s&>\"]+)")


class MailMissing(DemoFailed):
    """The mail that the demo waits for did not arrive; the message says which."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message; `text` is its plain part."""

    headers: dict[str, str]
    text: str

    @property
    def token(self) -> str:
        """The one-use secret in its link. Raises MailMissing when there is none."""
        found = _TOKEN.search(self.text)
        if found is None:
            raise MailMissing(f"the mail '{self.headers['Subject']}' has no link")
        return unquote(found[1])


class Mailbox:
    """Reads the maildir that the stack's mail server writes; files appear there whole."""

    def __init__(self, folder: Path) -> None:
        self._new = folder / "new"

    def newest(self, to: str, subject: str = "") -> Letter | None:
        """The newest mail to an address whose subject holds a text."""
        files = sorted(self._new.glob("*"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        return next(filter(None, (_read(file, to, subject) for file in files)), None)

    async def wait(self, to: str, subject: str, seconds: float) -> Letter:
        """The same, waited for. Raises MailMissing."""
        ends = time.monotonic() + seconds
        while True:
            found = await asyncio.to_thread(self.newest, to, subject)
            if found is not None:
                return found
            if time.monotonic() > ends:
                raise MailMissing(f"no mail about '{subject}' came to {to} within {seconds:g} s")
            await asyncio.sleep(0.05)


def _read(file: Path, to: str, subject: str) -> Letter | None:
    message = cast(EmailMessage, email.message_from_bytes(file.read_bytes(), policy=email.policy.default))
    if to not in str(message["X-Envelope-To"]) or subject not in str(message["Subject"]):
        return None
    body = message.get_body(("plain",))
    headers = {name: str(message[name]) for name in ("From", "To", "Subject", "Message-ID")}
    return Letter(headers, "" if body is None else body.get_content())
