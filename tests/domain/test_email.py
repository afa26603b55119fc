"""Addresses and subjects as they are given."""

from datetime import UTC, datetime

import pytest

from domain.email import Mail, Mailbox, check_subject, message_id

MAIL = Mail(
    message_id=message_id("key", "perdure.example"),
    sender=Mailbox.parse("office@perdure.example"),
    to=(Mailbox.parse("Ann <ann@client.example>"),),
    cc=(Mailbox.parse("cc@client.example"),),
    bcc=(Mailbox.parse("secret@client.example"), Mailbox.parse("ann@client.example")),
    subject="Hello",
    date=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("a@b.example", "a@b.example", ""),
        ("Ann Lee <a.b+c@B.Example>", "a.b+c@b.example", "Ann Lee"),
        ('"Lee, Ann" <a@b.example>', "a@b.example", "Lee, Ann"),
        ("x@müller.example", "x@xn--mller-kva.example", ""),
    ],
)
def test_an_address_is_read(text: str, address: str, name: str) -> None:
    assert Mailbox.parse(text) == Mailbox(address, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a@",
        "@b.example",
        "a@b",
        "a@@b.example",
        "a b@c.example",
        "a@b.example\r\nBcc: x@y.example",
        "a@b.example\n",
        "a@b.example, c@d.example",
        "<a@b.example> <c@d.example>",
        "a@-b.example",
        "a@b..example",
        "a..b@c.example",
        ".a@b.example",
        "ü@b.example",
        "A\u2028B <a@b.example>",
        f"{'x' * 65}@b.example",
        "a@" + "b." * 130 + "example",
        "a@[127.0.0.1]",
        "N\x00 <a@b.example>",
        "a@b.example>",
        "\ud800@b.example",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is not|holds|has)"):
        Mailbox.parse(text)


@pytest.mark.parametrize("subject", ["a\r\nBcc: x", "a\nb", "a\x00", "a\u2029b", "a\x85b"])
def test_a_subject_cannot_start_another_header(subject: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        check_subject(subject)


def test_a_message_id_is_the_keys() -> None:
    assert message_id("key", "a.example") == message_id("key", "a.example")
    assert message_id("key", "a.example") != message_id("key2", "a.example")


def test_the_envelope_names_each_recipient_once() -> None:
    assert MAIL.recipients == ("ann@client.example", "cc@client.example", "secret@client.example")
