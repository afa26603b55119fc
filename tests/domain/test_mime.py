"""What a composed message says to whoever reads it: exactly what was typed, in exactly the intended headers."""

import re
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import format_datetime, getaddresses
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.email import Mail, Mailbox, message_id
from domain.mime import NotComposed, compose

MAIL = Mail(
    message_id=message_id("key", "perdure.example"),
    sender=Mailbox.parse("Büro <office@perdure.example>"),
    to=(Mailbox.parse("Ann <ann@client.example>"),),
    cc=(Mailbox.parse("cc@client.example"),),
    bcc=(Mailbox.parse("secret@client.example"), Mailbox.parse("ann@client.example")),
    reply_to=Mailbox.parse("desk@perdure.example"),
    subject="Grüße, " + "lang " * 60,
    date=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
    text="Hallo Ännchen\n.\nnext",
    html="<p>Hallo</p>",
)


ATTACK = "=?utf-8?q?Bob=0AContent-Type:_text/html=0AReply-To:_evil@evil.example=0A=0A<h1>owned</h1>?="
typed = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029")
pieces = st.sampled_from(
    [
        ATTACK,
        "=?utf-8?b?Cg==?=",
        "=?",
        "?=",
        '"',
        "\\",
        "<",
        ">",
        ",",
        ";",
        ":",
        "(",
        ")",
        " ",
        "é",
        "x@y.example",
    ]
)
lines = st.lists(st.text(typed, max_size=30) | pieces, max_size=8).map("".join)
bodies = st.text(st.characters(exclude_categories=["Cs"]), max_size=200) | st.lists(
    pieces | st.sampled_from(["\n", "\r\n", "From ", ".", "--", "--=_", "=0A", "\t", "a" * 90])
).map("".join)
HEADERS = ["From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted"]


def read_back(raw: bytes) -> EmailMessage:
    message = cast(EmailMessage, message_from_bytes(raw, policy=default))
    assert not message.defects
    return message


def shown(raw: bytes, name: str) -> list[Mailbox]:
    """The mailboxes of a header by RFC 5322 and 2047: the library's reader puts spaces between the words."""
    value = message_from_bytes(raw)[name].replace("\r\n", "")
    return [Mailbox(address, decoded(each)) for each, address in getaddresses([value])]


def decoded(value: str) -> str:
    joined = re.sub(r"(?<=\?=) +(?==\?utf-8\?b\?)", "", value)
    return re.sub(r"=\?utf-8\?b\?([^?]*)\?=", lambda word: b64decode(word[1]).decode(), joined)


def as_lines(text: str) -> list[str]:
    """Line breaks travel as CRLF, and how many of them end a body means nothing."""
    return re.split("\r\n|\r|\n", text.rstrip("\r\n"))


@given(subject=lines, name=lines, other=lines, text=bodies, html=st.none() | bodies)
@example(subject=f"Welcome, {ATTACK}", name=ATTACK, other="=?utf-8?q?x=0A?=", text="", html=None)
def test_whatever_is_typed_arrives_as_that_text_and_nothing_else(
    subject: str, name: str, other: str, text: str, html: str | None
) -> None:
    first, second = Mailbox("ann@client.example", name), Mailbox("bob@client.example", other)
    mail = replace(
        MAIL,
        sender=first,
        to=(first, second),
        cc=(second,),
        reply_to=second,
        subject=subject,
        text=text,
        html=html,
    )
    raw = compose(mail)
    assert all(len(line) <= 998 and line.isascii() for line in raw.split(b"\r\n"))
    message = read_back(raw)
    assert message.keys()[: len(HEADERS)] == HEADERS
    assert sorted(message.keys()[len(HEADERS) :]) == (
        ["Content-Type", "MIME-Version"]
        if html is not None
        else ["Content-Transfer-Encoding", "Content-Type", "MIME-Version"]
    )
    assert message["Subject"] == subject
    assert shown(raw, "From") == [first]
    assert shown(raw, "To") == [first, second]
    assert shown(raw, "Cc") == shown(raw, "Reply-To") == [second]
    assert message["Date"] == format_datetime(MAIL.date)
    assert message["Message-ID"] == MAIL.message_id
    parts = [part for part in message.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/plain", "text/html"][: len(parts)]
    wanted = [text] if html is None else [text, html]
    assert [as_lines(cast(EmailMessage, part).get_content()) for part in parts] == [
        as_lines(each) for each in wanted
    ]


def test_a_repeat_is_the_same_message_byte_for_byte() -> None:
    assert compose(MAIL) == compose(replace(MAIL))


def test_the_composed_message_says_what_was_asked_and_hides_bcc() -> None:
    raw = compose(MAIL)
    assert b"secret@client.example" not in raw
    read = read_back(raw)
    assert read["Subject"] == MAIL.subject
    assert read["From"] == "Büro <office@perdure.example>"
    assert read["To"] == "Ann <ann@client.example>"
    assert read["Reply-To"] == "desk@perdure.example"
    assert read["Auto-Submitted"] == "auto-generated"
    body = read.get_body(("plain",))
    page = read.get_body(("html",))
    assert body is not None
    assert page is not None
    assert body.get_content().splitlines() == ["Hallo Ännchen", ".", "next"]
    assert page.get_content().strip() == "<p>Hallo</p>"


def test_plain_words_stay_readable_in_the_raw_message() -> None:
    lee = Mailbox.parse('"Lee, Ann" <ann@client.example>')
    raw = compose(replace(MAIL, to=(lee,), subject="Your order 7"))
    assert b"\r\nSubject: Your order 7\r\n" in raw
    assert b'\r\nTo: "Lee, Ann" <ann@client.example>\r\n' in raw


@pytest.mark.parametrize(
    "mail",
    [
        replace(MAIL, message_id="<a@b.example>\r\nX-Evil: 1"),
        replace(MAIL, message_id="<a@b.example>\r\n\r\nbody"),
        replace(MAIL, sender=Mailbox("a@b.example\r\nX-Evil: 1")),
        replace(MAIL, to=(Mailbox("a@b.example, c@d.example"),)),
        replace(MAIL, subject="half \ud800"),
        replace(MAIL, text="half \ud800"),
    ],
)
def test_what_would_read_otherwise_is_never_sent(mail: Mail) -> None:
    with pytest.raises(NotComposed, match=r"would|write whole characters"):
        compose(mail)


@pytest.mark.parametrize(
    ("text", "html", "kind"), [("x", None, "text/plain"), (None, "<b>x</b>", "text/html")]
)
def test_a_single_body_stays_single(text: str | None, html: str | None, kind: str) -> None:
    assert read_back(compose(replace(MAIL, text=text, html=html))).get_content_type() == kind
