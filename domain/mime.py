"""The bytes of one e-mail: what people typed arrives as that text and nothing else, in headers above all.

The library's headers decode `=?…?=` found in a value they are given, line breaks included, so whoever typed
such a name could write headers of their own. Headers are therefore written here, and read back before use.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from email import message_from_bytes
from email.header import decode_header
from email.message import EmailMessage, Message
from email.policy import SMTP, compat32
from email.utils import format_datetime, getaddresses
from hashlib import sha256

from domain.email import Mail, Mailbox

_PLAIN = re.compile(r"(?!.*=\?)[!-~]+(?: [!-~]+)*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
#: Longer texts are encoded, which folds them; so no line of a header passes 78 characters for its text.
_LONGEST_PLAIN = 60
#: Bytes in one encoded word: with `Reply-To: ` before it, its line stays within 76 characters (RFC 2047).
_WORD = 39
#: Parts of the body bring these of their own.
_OF_THE_BODY = ("MIME-Version", "Content-Type", "Content-Transfer-Encoding")


class NotComposed(ValueError):
    """The message would not say what was asked; the text says which part, and how to mend it."""


def compose(mail: Mail) -> bytes:
    """The message as sent, the same bytes for the same mail. Raises NotComposed."""
    try:
        headers = _headers(mail)
        written = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii")
        raw = written + _body(mail).as_bytes()
    except UnicodeEncodeError:
        raise NotComposed("the message holds half of a surrogate pair; write whole characters") from None
    _check(raw, mail, [name for name, _ in headers])
    return raw


def _headers(mail: Mail) -> list[tuple[str, str]]:
    headers = [("From", _boxes([mail.sender])), ("To", _boxes(mail.to))]
    if mail.cc:
        headers.append(("Cc", _boxes(mail.cc)))
    if mail.reply_to is not None:
        headers.append(("Reply-To", _boxes([mail.reply_to])))
    return [
        *headers,
        ("Subject", _text(mail.subject)),
        ("Date", format_datetime(mail.date)),
        ("Message-ID", mail.message_id),
        # Asks autoresponders to stay silent (RFC 3834).
        ("Auto-Submitted", "auto-generated"),
    ]


def _text(text: str) -> str:
    return text if len(text) <= _LONGEST_PLAIN and (_PLAIN.fullmatch(text) or not text) else _words(text)


def _boxes(boxes: Iterable[Mailbox]) -> str:
    return ",\r\n ".join(_box(box) for box in boxes)


def _box(box: Mailbox) -> str:
    if not box.name:
        return box.address
    if len(box.name) > _LONGEST_PLAIN or not _PLAIN.fullmatch(box.name):
        return f"{_words(box.name)}\r\n <{box.address}>"
    if _ATOMS.fullmatch(box.name):
        return f"{box.name} <{box.address}>"
    quoted = box.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{box.address}>'


def _words(text: str) -> str:
    """Encoded words (RFC 2047) that read as exactly this text; each holds whole characters."""
    words, chunk = [], b""
    for character in text:
        piece = character.encode()
        if len(chunk) + len(piece) > _WORD:
            words.append(chunk)
            chunk = b""
        chunk += piece
    words.append(chunk)
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in words)


def _body(mail: Mail) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    if mail.text is None and mail.html is not None:
        message.set_content(mail.html, subtype="html", cte="quoted-printable")
        return message
    message.set_content(mail.text or "", cte="quoted-printable")
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
        # The default boundary is random; a repeat must be byte for byte the same message. No line of
        # quoted-printable text can hold "=_" (RFC 2045 §6.7), so no text ends its part.
        message.set_boundary("=_" + sha256(mail.message_id.encode()).hexdigest()[:32])
    return message


def _check(raw: bytes, mail: Mail, names: list[str]) -> None:
    """What a stranger's program will read: these headers once each, with these values, and no other."""
    read = message_from_bytes(raw, policy=compat32)
    if [name for name in read if name not in _OF_THE_BODY] != names or any(
        len(read.get_all(name, [])) > 1 for name in _OF_THE_BODY
    ):
        raise NotComposed("the message would carry headers nobody asked for; write its fields as plain text")
    wanted = {
        "From": [mail.sender],
        "To": [*mail.to],
        "Cc": [*mail.cc],
        "Reply-To": [mail.reply_to] if mail.reply_to else [],
    }
    for name, boxes in wanted.items():
        found = [Mailbox(address, _decoded(shown)) for shown, address in getaddresses(_values(read, name))]
        if found != boxes:
            raise NotComposed(f"{name} would not read as it was written; use a plainer name or leave it out")
    exact = {
        "Subject": mail.subject,
        "Date": format_datetime(mail.date),
        "Message-ID": mail.message_id,
        "Auto-Submitted": "auto-generated",
    }
    for name, value in exact.items():
        if [_decoded(each) for each in _values(read, name)] != [value]:
            raise NotComposed(f"{name} would not read as it was written; use plainer text")


def _values(read: Message, name: str) -> list[str]:
    return [_FOLD.sub("", str(value)) for value in read.get_all(name, [])]


def _decoded(value: str) -> str:
    return "".join(
        part if isinstance(part, str) else part.decode(charset or "ascii", "replace")
        for part, charset in decode_header(value)
    )
