"""The product's own mails: every template with values nobody should be able to abuse."""

import re
from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import activities.mails
from activities.actions.context import ActionContext, Links
from activities.actions.registry import built_in
from activities.gateways.sms import LogMessenger, NoMessenger
from activities.mails import LETTERS, render
from domain.definitions.faults import Fault
from domain.email import Mail, Mailbox
from domain.mime import compose
from domain.onetime import PATHS, Purpose, code, derive, kept, link

PUBLIC = "https://perdure.example"
SECRET = b"s" * 32
LINK = f"{PUBLIC}/verify-email?token=abc"
HOSTILE = (
    '<script>alert(1)</script>"><img src=x onerror=alert(1)>\r\nBcc: everybody@example.com\r\n\r\n'
    "Sign in at https://evil.example\n\n{{ link }} {% raw %} =?utf-8?q?=0D=0ABcc:_x?= \x00\x1b[31m\u202egnp\u2028"
    "\ud800 &lt; 'quoted' " + "long" * 200
)


class Tags(HTMLParser):
    """What a mail program would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "style", "onerror")]


def written(name: str, value: Any = HOSTILE) -> activities.mails.Written:
    letter = LETTERS[name]
    values = dict.fromkeys(letter.values, value)
    return render(name, values, link=LINK if letter.has_link else None, public_url=PUBLIC)


@pytest.mark.parametrize("name", LETTERS)
def test_hostile_values_are_only_ever_words(name: str) -> None:
    mail = written(name)
    assert "\n" not in mail.subject
    assert mail.subject.isprintable()
    paragraphs = [each for each in mail.text.split("\n\n") if each]
    assert len(paragraphs) == len([each for each in written(name, "Ada").text.split("\n\n") if each])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e\u2028\ud800]", mail.text)
    assert "https://evil.example" not in mail.text + mail.html
    seen = Tags()
    seen.feed(mail.html)
    assert set(seen.tags) <= {"html", "head", "meta", "title", "style", "body", "div", "p", "h1", "a"}
    assert set(seen.links) <= {LINK, PUBLIC}
    assert seen.tags == (plain := _tags(written(name, "Ada").html)), plain


def _tags(html: str) -> list[str]:
    seen = Tags()
    seen.feed(html)
    return seen.tags


@pytest.mark.parametrize("name", LETTERS)
def test_every_mail_can_be_sent_and_says_the_same_in_text_and_html(name: str) -> None:
    mail = written(name)
    raw = compose(
        Mail(
            message_id="<a@perdure.example>",
            sender=Mailbox.parse("Perdure <no-reply@perdure.example>"),
            to=(Mailbox.parse("ada@example.com"),),
            subject=mail.subject,
            date=_context().now,
            text=mail.text,
            html=mail.html,
        )
    )
    read = message_from_bytes(raw, policy=default)
    assert read["To"] == "ada@example.com"
    assert read["Bcc"] is None
    assert read.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    text, html = (" ".join(part.get_content().split()) for part in read.iter_parts())
    assert (LINK in text, LINK in html) == (LETTERS[name].has_link,) * 2
    assert PUBLIC in text
    assert "we hope you" not in html or "we hope you" in text


def test_one_file_for_each_and_none_besides() -> None:
    here = Path(activities.mails.__file__).parent
    assert {path.stem for path in here.glob("*.txt")} == set(LETTERS)


def test_the_templates_declare_exactly_the_values_they_use() -> None:
    here = Path(activities.mails.__file__).parent
    for name, letter in LETTERS.items():
        used = set(re.findall(r"{{ (\w+) }}", (here / f"{name}.txt").read_text()))
        assert used == letter.values, name
        assert ("button(" in (here / f"{name}.txt").read_text()) == letter.has_link, name


@pytest.mark.parametrize(
    ("name", "values", "address"),
    [
        ("verify-email", {"name": "Ada"}, LINK),
        ("invitation", {"inviter": "Ada"}, LINK),
        ("verify-email", {}, None),
        ("already-registered", {}, LINK),
        ("password-changed", {"at": ["a list"]}, None),
    ],
)
def test_what_does_not_fit_a_template_is_refused(name: str, values: Any, address: str | None) -> None:
    with pytest.raises(Fault) as refused:
        render(name, values, link=address, public_url=PUBLIC)
    assert refused.value.type.endswith("validation")


def test_names_of_the_world_stay_as_they_are() -> None:
    for name in ("Zoë O'Brien-Çelik", "陳大文", "محمد", "نرگس\u200cفر", "👩\u200d🚀"):
        assert name in written("member-removed", name).text


class Outgoing:
    sender = "Perdure <no-reply@perdure.example>"

    def __init__(self) -> None:
        self.sent: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.sent.append(mail)


def _context(mail: Any = None, sms: Any = None) -> ActionContext:
    from datetime import UTC, datetime

    from activities.actions.context import Services
    from activities.gateways.http_client import GuardedHttpClient
    from domain.addresses import AddressPolicy

    services = Services(
        http=GuardedHttpClient(),
        mail=mail or Outgoing(),
        http_policy=lambda _: AddressPolicy.public(),
        sms=sms or NoMessenger(),
        links=Links(PUBLIC, SECRET),
    )
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    return ActionContext(uuid4(), uuid4(), "/do/0/send#1", None, "key", now, None, services)


async def test_the_link_is_computed_when_the_mail_is_sent_and_told_to_nobody_else() -> None:
    id, outgoing = uuid4(), Outgoing()
    given = {
        "template": "reset-password",
        "to": "ada@example.com",
        "token": {"purpose": "reset_password", "id": str(id)},
    }
    result = await built_in().run("mail.template", "1.0.0", _context(outgoing), given)
    token = derive(SECRET, Purpose.RESET_PASSWORD, id)
    [mail] = outgoing.sent
    assert link(PUBLIC, Purpose.RESET_PASSWORD, token) in str(mail.text)
    assert token not in str(result)
    assert result == {"message_id": mail.message_id}
    again = Outgoing()
    await built_in().run("mail.template", "1.0.0", _context(again), given)
    assert again.sent[0].message_id == mail.message_id  # a repeat after a crash is the same message


@pytest.mark.parametrize("purpose", [p for p in Purpose if p not in PATHS])
async def test_no_mail_carries_a_token_that_no_page_takes(purpose: Purpose) -> None:
    given = {
        "template": "reset-password",
        "to": "ada@example.com",
        "token": {"purpose": purpose, "id": str(uuid4())},
    }
    with pytest.raises(Fault):
        await built_in().run("mail.template", "1.0.0", _context(), given)


@pytest.mark.parametrize("to", ["ada@example.com\r\nBcc: x@example.com", "nobody", "a@b@c"])
async def test_a_mail_goes_to_one_address(to: str) -> None:
    with pytest.raises(Fault) as refused:
        await built_in().run(
            "mail.template", "1.0.0", _context(), {"template": "already-registered", "to": to}
        )
    assert refused.value.status == 400


async def test_definitions_of_tenants_cannot_send_them() -> None:
    registry = built_in()
    for name in ("mail.template", "mail.recipients", "sms.recipients", "sms.code"):
        assert registry.specs().find(name) is None
        assert registry.every_spec().find(name) is not None


async def test_a_code_goes_to_the_telephone_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "perdure.sms")
    id = uuid4()
    given = {"to": "+4930901820", "id": str(id)}
    result = await built_in().run("sms.code", "1.0.0", _context(sms=LogMessenger()), given)
    assert result == {"ends_with": "20"}
    assert code(derive(SECRET, Purpose.VERIFY_PHONE, id)) in caplog.text
    with pytest.raises(Fault) as refused:
        await built_in().run("sms.code", "1.0.0", _context(), given)
    assert "PERDURE_SMS" in str(refused.value)


def test_tokens_differ_by_purpose_row_and_secret_and_cannot_be_told_from_their_hash() -> None:
    id, other = uuid4(), uuid4()
    made = {
        derive(secret, purpose, row)
        for secret in (SECRET, b"t" * 32)
        for purpose in Purpose
        for row in (id, other)
    }
    assert len(made) == 4 * len(Purpose)
    assert all(len(each) == 43 for each in made)
    token = derive(SECRET, Purpose.RESET_PASSWORD, id)
    assert token == derive(SECRET, Purpose.RESET_PASSWORD, id)
    assert kept(token) != token
    assert re.fullmatch(r"[0-9]{6}", code(token))


def test_codes_use_all_six_digits_evenly() -> None:
    firsts = [code(derive(SECRET, Purpose.VERIFY_PHONE, uuid4()))[0] for _ in range(2000)]
    counts = [firsts.count(str(digit)) for digit in range(10)]
    assert min(counts) > 120, counts  # 200 each on average; six standard deviations below is 120
