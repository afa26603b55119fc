"""The product's own mails: each is one file of plain paragraphs, written once and shown as text and as HTML.

A file's first line is the subject; paragraphs are divided by empty lines. `{{ button("words") }}` alone in a
paragraph is where the mail leads. Values are single lines of visible characters whatever was given, so none can
begin a paragraph, a header or a direction of its own; HTML escapes them besides.
"""

import re
import textwrap
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from domain.definitions.faults import Fault

_HERE: Final = Path(__file__).parent
_WIDTH: Final = 76
_LONGEST: Final = 300
#: Control, format (directions, invisible joiners), line separators, halves of pairs, private.
_INVISIBLE: Final = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn")
#: Persian, Indian and emoji spelling needs them.
_JOINERS: Final = "\u200c\u200d"
#: Mail programs make links of what looks like one; in our mails only ours lead somewhere.
_ADDRESS: Final = re.compile(r"(?i)(https?:|www\.)(?=\S)")
_PARAGRAPHS: Final = re.compile(r"\n\s*\n")
_text = Environment(loader=FileSystemLoader(_HERE), undefined=StrictUndefined, autoescape=False)  # noqa: S701
_html = Environment(loader=FileSystemLoader(_HERE), undefined=StrictUndefined, autoescape=True)


@dataclass(frozen=True, slots=True)
class Letter:
    """What a template needs: the names of its values, and whether a link leads on from it."""

    values: frozenset[str] = frozenset()
    has_link: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    subject: str
    text: str
    html: str


#: Every mail of the product. `at` is a moment in words; `place` where it happened (an address, a browser).
LETTERS: Final[Mapping[str, Letter]] = {
    "verify-email": Letter(has_link=True),
    "already-registered": Letter(),
    "reset-password": Letter(has_link=True),
    "password-changed": Letter(frozenset({"at"})),
    "confirm-email": Letter(has_link=True),
    "e-mail-change-asked": Letter(frozenset({"new_email"})),
    "e-mail-changed": Letter(frozenset({"new_email"})),
    "phone-changed": Letter(frozenset({"phone"})),
    "invitation": Letter(frozenset({"inviter", "organization", "role", "until"}), has_link=True),
    "mfa-enrolled": Letter(frozenset({"at"})),
    "mfa-removed": Letter(frozenset({"at"})),
    "new-device": Letter(frozenset({"at", "place"})),
    "backup-codes-low": Letter(frozenset({"left"})),
    "member-removed": Letter(frozenset({"organization"})),
    "ownership-transferred": Letter(frozenset({"organization", "owner"})),
    "erasure-scheduled": Letter(frozenset({"what", "on"})),
    "erasure-cancelled": Letter(frozenset({"what"})),
    "erasure-done": Letter(frozenset({"what"})),
    "export-ready": Letter(frozenset({"what", "until"}), has_link=True),
    "import-done": Letter(frozenset({"what", "accepted", "refused"})),
    # `when` is a sentence about the deadline, `hint` one about what the link asks of its reader.
    "task-open": Letter(frozenset({"organization", "title", "when", "hint"}), has_link=True),
    "task-reminder": Letter(frozenset({"organization", "title", "when", "hint"}), has_link=True),
    "task-escalated": Letter(frozenset({"organization", "title", "when", "hint"}), has_link=True),
    "task-delegated": Letter(frozenset({"organization", "title", "when", "by"}), has_link=True),
}


def letter(name: str) -> Letter:
    """Raises ValueError for a template we do not have."""
    found = LETTERS.get(name)
    if found is None:
        raise ValueError(f"there is no mail template {name[:80]!r}; activities/mails lists them")
    return found


def render(name: str, values: Mapping[str, Any], *, link: str | None, public_url: str) -> Written:
    """Raises a validation fault for values that are missing or unknown, and for a link too many or too few."""
    wanted = letter(name)
    if values.keys() != wanted.values:
        raise _refused(f"the mail {name} takes the values {sorted(wanted.values)}, not {sorted(values)[:20]}")
    if wanted.has_link != (link is not None):
        raise _refused(
            f"the mail {name} {'needs a token for its link' if wanted.has_link else 'has no link'}"
        )
    shown = {key: one_line(value) for key, value in values.items()}
    plain = _paragraphs(_template(_text, name), shown, lambda words: f"{words}:\0{link}")
    marked = _paragraphs(_template(_html, name), shown, lambda words: _button(words, link))
    subject = one_line(plain[0])
    page = _html.get_template("layout.html").render(
        subject=subject,
        paragraphs=[Markup(each) for each in marked[1:]],  # noqa: S704  escaped when it was rendered
        public_url=public_url,
    )
    footer = f"-- \nPerdure · {public_url}\n"
    return Written(subject, "\n\n".join([*map(_wrapped, plain[1:]), footer]), page)


def one_line(value: Any) -> str:
    """What a value shows as: visible characters of one line, at most 300 of them."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _refused("the values of a mail are texts and numbers")
    visible = (
        " " if unicodedata.category(each) in _INVISIBLE and each not in _JOINERS else each
        for each in str(value)
    )
    words = _ADDRESS.sub(r"\1 ", " ".join("".join(visible).split()))
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"


def _paragraphs(template: Template, values: Mapping[str, str], button: Any) -> list[str]:
    """The subject, then the paragraphs."""
    written = template.render(**values, button=button).strip()
    return [" ".join(each.split()) for each in _PARAGRAPHS.split(written)]


def _button(words: str, link: str | None) -> Markup:
    return Markup('<a class="button" href="{}">{}</a>').format(link, words)


def _wrapped(paragraph: str) -> str:
    """An address stands on a line of its own, however long: broken, it would lead nowhere."""
    words, _, address = paragraph.partition("\0")
    filled = textwrap.fill(words, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"{filled}\n{address}" if address else filled


@cache
def _template(environment: Environment, name: str) -> Template:
    return environment.get_template(f"{name}.txt")


def _refused(detail: str) -> Fault:
    return Fault("validation", 400, "Mail not written", detail)
