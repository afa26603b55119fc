"""Forms as a page writes them: what a browser without scripts would post of it is the value again."""

from html.parser import HTMLParser
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.console.frame.templates import environment
from domain.forms import Filled, Form, filled_with, form_of, read
from tests.domain.test_forms import ONBOARDING, groups, normal, pairs, scalars, words

PAGE = environment.from_string(
    '{% from "frame/forms.html" import fields, problems %}{{ problems(form, filled) }}{{ fields(form, filled) }}'
)
VOID = {"input", "br", "link", "meta"}


class Browser(HTMLParser):
    """What a browser would post, the ids it knows and what labels and descriptions refer to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = {}
        self.ids: list[str] = []
        self.meant: list[str] = []
        self.open: list[str] = []
        self.select = self.area = ""
        self.named: set[str] = set()
        self.controls: list[dict[str, str]] = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert len(given) == len(attrs), attrs
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.meant += given.get("aria-describedby", "").split() + ([given["for"]] if "for" in given else [])
        self.meant += [given["href"].removeprefix("#")] if "href" in given else []
        name = given.get("name", "")
        if tag == "input" and given.get("type") in ("checkbox", "radio"):
            if "checked" in given:
                self.sent.setdefault(name, []).append(given["value"])
        elif tag == "input":
            self.sent.setdefault(name, []).append(given.get("value", ""))
        elif tag == "select":
            self.select = name
            self.sent[name] = [""]
        elif tag == "option" and "selected" in given:
            self.sent[self.select] = [given["value"]]
        elif tag == "textarea":
            self.area = name
            self.sent[name] = [""]
        if tag in ("input", "select", "textarea") and given.get("type") != "hidden":
            self.controls.append(given)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag
        self.area = "" if tag == "textarea" else self.area

    def handle_data(self, data: str) -> None:
        if self.area:
            self.sent[self.area][0] += data

    def posted(self) -> dict[str, list[str]]:
        """A browser drops the line feed a text area begins with."""
        return {name: [text.removeprefix("\n") for text in texts] for name, texts in self.sent.items()}


def browse(form: Form, filled: Filled) -> Browser:
    browser = Browser(PAGE.render(form=form, filled=filled))
    assert len(set(browser.ids)) == len(browser.ids)
    assert set(browser.meant) <= set(browser.ids)
    return browser


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(groups(st.recursive(scalars(), pairs, max_leaves=6)))
def test_a_browser_posts_what_the_page_shows(pair: tuple[dict[str, Any], Any]) -> None:
    schema, value = pair
    form = form_of(schema)
    came = read(form, browse(form, filled_with(form, value)).posted())
    assert came.problems == ()
    assert came.value == normal(schema, value)


@settings(max_examples=50, deadline=None)
@given(words, words, words)
def test_words_of_a_schema_and_of_people_are_only_words(title: str, hint: str, text: str) -> None:
    schema = {
        "title": title,
        "properties": {
            text: {"title": title, "description": hint, "type": "string"},
            text + "!": {"enum": [hint]},
        },
    }
    form = form_of(schema)
    value = {text: hint + "\n<script>alert(1)</script>"}
    filled = filled_with(form, value)
    page = PAGE.render(form=form, filled=filled)
    assert "<script" not in page
    assert read(form, Browser(page).posted()).value == value


def test_a_text_keeps_the_line_feeds_it_begins_with() -> None:
    form = form_of({"type": "string", "maxLength": 900})
    filled = filled_with(form, "\n\nTwo lines down")
    assert read(form, browse(form, filled).posted()).value == "\n\nTwo lines down"


def test_an_untouched_form_is_the_value_of_its_defaults() -> None:
    form = form_of(ONBOARDING)
    came = read(form, browse(form, filled_with(form)).posted())
    assert came.value == {"remind": True}
    assert {each.pointer for each in came.problems} == {"/name", "/email", "/kind"}
    page = PAGE.render(form=form, filled=came)
    assert page.count('aria-invalid="true"') == 3
    assert '<a href="#data/name">Name of the client: Fill this in.</a>' in page


def test_enter_presses_nothing_and_another_row_is_a_button() -> None:
    form = form_of(ONBOARDING)
    page = PAGE.render(form=form, filled=filled_with(form))
    assert page.index('<button type="submit" disabled hidden>') < page.index("<input")
    assert 'name="more" value="data/owners" formnovalidate' in page
    sent = browse(form, filled_with(form)).posted()
    grown = read(form, {**sent, "data/owners/0/name": ["Ada"], "more": ["data/owners"]})
    again = browse(form, grown)
    assert again.posted()["data/owners/0/name"] == ["Ada"]
    assert "data/owners/1/name" in again.posted()
    assert [each["name"] for each in again.controls if "autofocus" in each] == ["data/owners/1/name"]


def test_only_what_is_demanded_is_insisted_on_by_the_browser() -> None:
    """A required member of a group that may be left out would otherwise hold up the whole form."""
    form = form_of(ONBOARDING)
    needed = {each["name"] for each in browse(form, filled_with(form)).controls if "required" in each}
    assert needed == {"data/name", "data/email", "data/kind"}
