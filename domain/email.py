"""One e-mail as data: checked addresses, and a Message-ID that a repeat cannot change."""

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

MAX_RECIPIENTS = 50
MAX_SUBJECT = 500

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NAMED = re.compile(r"\s*(?P<name>[^<>]*?)\s*<(?P<address>[^<>]+)>\s*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with the name shown beside it; `address` is ASCII, its domain in punycode."""

    address: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Mailbox":
        """Read `a@b.example` or `Name <a@b.example>`. Raises ValueError without the address in it."""
        if _CONTROL.search(text):
            raise ValueError("holds a line break or control character; write it on one line")
        match = _NAMED.fullmatch(text)
        name, address = (match["name"].strip('" '), match["address"]) if match else ("", text)
        if len(name) > 200:
            raise ValueError("has a name longer than 200 characters; shorten it")
        local, at, domain = address.strip().rpartition("@")
        if not at:
            raise ValueError("is not an e-mail address; write name@example.com")
        if len(local) > 64 or not _LOCAL.fullmatch(local):
            raise ValueError(
                "is not an e-mail address: the part before @ may hold ASCII letters, digits and .+-_"
            )
        return cls(f"{local}@{_domain(domain)}", name)

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Mail:
    """One message ready to be sent; `bcc` appears in the envelope only."""

    message_id: str
    sender: Mailbox
    to: tuple[Mailbox, ...]
    subject: str
    date: datetime
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: Mailbox | None = None
    text: str | None = None
    html: str | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """Every address of the envelope, once."""
        return tuple(dict.fromkeys(box.address for box in (*self.to, *self.cc, *self.bcc)))


@dataclass(frozen=True, slots=True)
class Rejection:
    address: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the mail system did: at least one recipient accepted, others perhaps refused."""

    accepted: tuple[str, ...]
    refused: tuple[Rejection, ...] = ()


def message_id(effect_key: str, domain: str) -> str:
    """The Message-ID of an occurrence's one message: a repeat after a crash is the same message."""
    return f"<{sha256(effect_key.encode()).hexdigest()[:32]}@{domain}>"


def check_subject(subject: str) -> str:
    """Raises ValueError when the subject could end its header line."""
    if _CONTROL.search(subject):
        raise ValueError("holds a line break or control character; write it on one line")
    return subject


def _domain(text: str) -> str:
    try:
        ascii_form = text.lower().encode("idna").decode("ascii")
    except UnicodeError:
        ascii_form = ""
    labels = ascii_form.split(".")
    if len(ascii_form) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("is not an e-mail address: the part after @ must be a domain such as example.com")
    return ascii_form
