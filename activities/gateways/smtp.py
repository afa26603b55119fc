"""The mail system over SMTP: one connection per message, its answers sorted into permanent and temporary."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from domain.definitions.faults import Fault
from domain.email import Delivery, Mail, Mailbox, Rejection
from domain.mime import NotComposed, compose

_STARTTLS = {"true": True, "required": True, "false": False, "never": False, "auto": None}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where and how to hand over mail; `starttls` None means: when the server offers it."""

    host: str
    port: int
    tls: bool
    starttls: bool | None
    user: str | None
    password: str | None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `smtp[s]://user:password@host:port?starttls=true|false|auto`; errors hide the password."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("the SMTP URL must look like smtp://user:password@host:587?starttls=true")
        asked = parse_qs(parts.query).get("starttls", ["auto"])[-1].lower()
        if asked not in _STARTTLS:
            raise ValueError("starttls of the SMTP URL must be true, false or auto")
        tls = parts.scheme == "smtps"
        starttls = False if tls else _STARTTLS[asked]
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(parts.hostname, parts.port or (465 if tls else 587), tls, starttls, user, password)


class SmtpMailer:
    """Hands messages to one SMTP server as one sender."""

    def __init__(
        self, url: str, *, sender: str, timeout: float = 25.0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._server = SmtpServer.parse(url)
        self._timeout = timeout
        self._tls = tls
        self._sender = sender
        self._helo = Mailbox.parse(sender).domain

    @property
    def sender(self) -> str:
        return self._sender

    async def send(self, mail: Mail) -> Delivery:
        """Raises a communication fault: 422 when the server refuses for good, 503 when a retry may help.

        Raises a validation fault when the message cannot be written so that it says what was asked.
        """
        try:
            message = compose(mail)
        except NotComposed as refusal:
            raise Fault("validation", 400, "E-mail not composed", str(refusal)) from None
        client = aiosmtplib.SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.user,
            password=self._server.password,
            use_tls=self._server.tls,
            start_tls=self._server.starttls,
            tls_context=self._tls,
            local_hostname=self._helo,
            timeout=self._timeout,
        )
        recipients = mail.recipients
        try:
            async with asyncio.timeout(self._timeout):
                await client.connect()
                refusals, _ = await client.sendmail(mail.sender.address, list(recipients), message)
            # The server has taken the message over: a goodbye that fails changes nothing.
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=1)
        except aiosmtplib.SMTPException as error:
            raise _fault(error) from None
        except OSError:
            raise _temporary("the mail server could not be reached or did not answer in time") from None
        finally:
            client.close()
        refused = tuple(
            Rejection(address, answer.code, _short(answer.message)) for address, answer in refusals.items()
        )
        accepted = tuple(address for address in recipients if address not in refusals)
        return Delivery(accepted, refused)


def _fault(error: aiosmtplib.SMTPException) -> Fault:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        answers = error.recipients
        words = "; ".join(f"{item.recipient}: {item.code} {_short(item.message)}" for item in answers[:5])
        detail = f"the mail server accepted none of the recipients: {words}"
        return _permanent(detail) if all(item.code >= 500 for item in answers) else _temporary(detail)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPHeloError):
        # The platform's own credentials or name, nothing the author of a workflow could mend.
        return _temporary("the mail server does not accept the platform; tell its operator")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        detail = f"the mail server answered {error.code} {_short(error.message)}"
        return _permanent(detail) if error.code >= 500 else _temporary(detail)
    if isinstance(error, aiosmtplib.SMTPTimeoutError):
        return _temporary("the mail server did not answer in time")
    return _temporary("the mail server could not be reached or broke the connection")


def _permanent(detail: str) -> Fault:
    return Fault("communication", 422, "E-mail refused", detail)


def _temporary(detail: str) -> Fault:
    return Fault("communication", 503, "E-mail not sent", detail, transient=True)


def _short(message: str) -> str:
    return " ".join(message.split())[:200]


class NoMailer:
    """A platform without a mail server: e-mail steps fail with the operator's mend instead of vanishing."""

    sender = "nobody@perdure.invalid"

    async def send(self, mail: Mail) -> Delivery:
        raise Fault(
            "configuration",
            501,
            "No mail server",
            "this platform sends no e-mail; its operator sets PERDURE_SMTP_URL",
        )
