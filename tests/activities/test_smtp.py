"""The mailer against a real SMTP server: what arrives, and which refusals are for good."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from activities.gateways.smtp import NoMailer, SmtpMailer, SmtpServer
from domain.definitions.faults import Fault
from domain.email import Mail, Mailbox, Rejection, message_id

MAIL = Mail(
    message_id=message_id("key", "perdure.example"),
    sender=Mailbox.parse("Perdure <no-reply@perdure.example>"),
    to=(Mailbox.parse("ann@client.example"), Mailbox.parse("bob@client.example")),
    bcc=(Mailbox.parse("eve@client.example"),),
    subject="Grüße",
    date=datetime(2026, 11, 22, 12, tzinfo=UTC),
    text="Hallo\n.\n",
)


class Sink:
    """Keeps what it accepts; refuses recipients and messages with the answers a test sets."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.refuse: dict[str, str] = {}
        self.after_data = "250 OK"

    async def handle_RCPT(  # noqa: N802 (a name aiosmtpd looks up)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.after_data.startswith("250"):
            self.envelopes.append(envelope)
        return self.after_data


@asynccontextmanager
async def listening(sink: Sink, **settings: Any) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(sink, loop=loop, **settings), "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
async def server(sink: Sink) -> AsyncIterator[str]:
    async with listening(sink) as address:
        yield address


def mailer(address: str, **settings: Any) -> SmtpMailer:
    return SmtpMailer(f"smtp://{address}", sender="no-reply@perdure.example", **settings)


async def test_a_message_arrives_with_its_envelope(sink: Sink, server: str) -> None:
    delivery = await mailer(server).send(MAIL)
    assert delivery.accepted == ("ann@client.example", "bob@client.example", "eve@client.example")
    envelope = sink.envelopes[0]
    assert envelope.mail_from == "no-reply@perdure.example"
    assert tuple(envelope.rcpt_tos) == delivery.accepted
    assert isinstance(envelope.content, bytes)
    assert b"eve@" not in envelope.content
    message = message_from_bytes(envelope.content, policy=default)
    assert message["Message-ID"] == MAIL.message_id
    assert message["Subject"] == "Grüße"
    assert message.get_content().splitlines() == ["Hallo", "."]


async def test_encoded_words_somebody_typed_arrive_as_typed(sink: Sink, server: str) -> None:
    name = "=?utf-8?q?Bob=0AContent-Type:_text/html=0A=0A<h1>owned</h1>?="
    ann = Mailbox.parse("=?utf-8?q?x=0A?= <ann@client.example>")
    await mailer(server).send(replace(MAIL, to=(ann,), subject=f"Welcome, {name}"))
    content = sink.envelopes[0].content
    assert isinstance(content, bytes)
    message = message_from_bytes(content, policy=default)
    assert message["Subject"] == f"Welcome, {name}"
    assert message["To"].addresses[0].display_name == "=?utf-8?q?x=0A?="
    assert message.get_content_type() == "text/plain"


async def test_a_message_that_would_read_otherwise_fails_with_its_mend(sink: Sink, server: str) -> None:
    with pytest.raises(Fault, match="write its fields as plain text") as caught:
        await mailer(server).send(replace(MAIL, message_id="<a@b.example>\nX-Evil: 1"))
    assert (caught.value.status, caught.value.transient) == (400, False)
    assert sink.envelopes == []


async def test_a_repeat_is_byte_for_byte_the_same(sink: Sink, server: str) -> None:
    mail = replace(MAIL, html="<p>Hallo</p>")
    await mailer(server).send(mail)
    await mailer(server).send(mail)
    assert sink.envelopes[0].content == sink.envelopes[1].content


async def test_a_partial_refusal_is_reported_not_raised(sink: Sink, server: str) -> None:
    sink.refuse = {"bob@client.example": "550 5.1.1 no such user"}
    delivery = await mailer(server).send(MAIL)
    assert delivery.accepted == ("ann@client.example", "eve@client.example")
    assert delivery.refused == (Rejection("bob@client.example", 550, "5.1.1 no such user"),)


@pytest.mark.parametrize(("answer", "status"), [("550 no such user", 422), ("450 mailbox busy", 503)])
async def test_when_every_recipient_is_refused_the_step_fails(
    answer: str, status: int, sink: Sink, server: str
) -> None:
    sink.refuse = dict.fromkeys(MAIL.recipients, answer)
    with pytest.raises(Fault, match="none of the recipients") as caught:
        await mailer(server).send(MAIL)
    assert (caught.value.status, caught.value.type.rpartition("/")[2]) == (status, "communication")
    assert "ann@client.example" in (caught.value.detail or "")
    assert sink.envelopes == []


async def test_one_passing_refusal_makes_all_worth_another_try(sink: Sink, server: str) -> None:
    sink.refuse = {
        "ann@client.example": "550 no",
        "bob@client.example": "451 later",
        "eve@client.example": "550 no",
    }
    with pytest.raises(Fault) as caught:
        await mailer(server).send(MAIL)
    assert caught.value.status == 503


@pytest.mark.parametrize(
    ("answer", "status"), [("554 spam", 422), ("452 disk full", 503), ("552 too big", 422)]
)
async def test_the_answer_after_the_message_decides(
    answer: str, status: int, sink: Sink, server: str
) -> None:
    sink.after_data = answer
    with pytest.raises(Fault) as caught:
        await mailer(server).send(MAIL)
    assert caught.value.status == status
    assert answer in (caught.value.detail or "")


async def test_nobody_listening_is_temporary(unused_tcp_port: int) -> None:
    with pytest.raises(Fault, match="could not be reached") as caught:
        await mailer(f"127.0.0.1:{unused_tcp_port}").send(MAIL)
    assert caught.value.status == 503


async def test_a_silent_server_is_temporary_and_bounded() -> None:
    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Fault) as caught:
            await mailer(f"127.0.0.1:{port}", timeout=0.3).send(MAIL)
        await asyncio.wait_for(left.wait(), 2)
    assert caught.value.status == 503


async def test_the_whole_conversation_has_one_time_limit(sink: Sink) -> None:
    class Slow(SMTP):
        async def push(self, status: Any) -> None:
            await asyncio.sleep(0.15)
            await super().push(status)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Slow(sink, loop=loop), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        started = loop.time()
        with pytest.raises(Fault, match="in time") as caught:
            await mailer(f"127.0.0.1:{port}", timeout=0.4).send(MAIL)
        assert loop.time() - started < 1
    assert (caught.value.status, caught.value.transient) == (503, True)


async def test_a_goodbye_without_answer_does_not_undo_the_message(sink: Sink) -> None:
    class Rude(SMTP):
        async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 (a name aiosmtpd looks up)
            assert self.transport is not None
            self.transport.abort()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Rude(sink, loop=loop), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        delivery = await mailer(f"127.0.0.1:{port}").send(MAIL)
    assert delivery.accepted == MAIL.recipients
    assert len(sink.envelopes) == 1


async def test_required_encryption_is_never_given_up(sink: Sink, server: str) -> None:
    with pytest.raises(Fault) as caught:
        await mailer(f"{server}?starttls=true").send(MAIL)
    assert caught.value.status == 503
    assert sink.envelopes == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
async def test_the_login_of_the_url_is_used(sink: Sink) -> None:
    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        right = (data.login, data.password) == (b"us er", b"p@ss")
        return AuthResult(success=right, handled=right)

    settings = {"authenticator": check, "auth_required": True, "auth_require_tls": False}
    async with listening(sink, **settings) as address:
        await mailer(f"us%20er:p%40ss@{address}").send(MAIL)
        assert len(sink.envelopes) == 1
        with pytest.raises(Fault, match="tell its operator") as caught:
            await mailer(f"user:wrong@{address}").send(MAIL)
    assert caught.value.status == 503
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "port", "tls", "starttls"),
    [
        ("smtp://mail.example", 587, False, None),
        ("smtps://mail.example", 465, True, False),
        ("smtp://mail.example:25?starttls=false", 25, False, False),
        ("smtp://mail.example:25?starttls=true", 25, False, True),
    ],
)
def test_the_url_is_read(url: str, port: int, tls: bool, starttls: bool | None) -> None:
    assert SmtpServer.parse(url) == SmtpServer("mail.example", port, tls, starttls, None, None)


@pytest.mark.parametrize("url", ["http://x", "smtp://", "smtp://user:hidden@h?starttls=maybe", ""])
def test_a_wrong_url_says_how_to_write_it_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP URL") as caught:
        SmtpServer.parse(url)
    assert "hidden" not in str(caught.value)


async def test_a_platform_without_mail_server_says_what_its_operator_sets() -> None:
    with pytest.raises(Fault, match="PERDURE_SMTP_URL"):
        await NoMailer().send(MAIL)
    assert Mailbox.parse(NoMailer.sender).domain == "perdure.invalid"
