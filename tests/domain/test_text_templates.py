"""Filling texts: every hole, nothing but holes."""

import pytest

from domain.definitions.faults import Fault
from domain.templates import render

VALUES = {
    "client": {"name": "Ann & <Co>", "tags": ["a", "b"], "none": None, "vip": True, "since": 2020},
    "text": "{{ client.name }}",
    "long": "x" * 50_000,
}


def fill(text: str, *, html: bool = False, limit: int = 131_072) -> str:
    return render(text, VALUES, html=html, limit=limit)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello {{ client.name }}!", "Hello Ann & <Co>!"),
        ("{{client.tags.1}}{{ client.since }}{{ client.vip }}{{ client.none }}", "b2020true"),
        ("{{ text }}", "{{ client.name }}"),  # values are never read as templates
        ("{ } }} plain", "{ } }} plain"),
        ("", ""),
    ],
)
def test_holes_are_filled(text: str, expected: str) -> None:
    assert fill(text) == expected


def test_html_escaping_touches_values_only() -> None:
    assert fill("<b>{{ client.name }}</b>", html=True) == "<b>Ann &amp; &lt;Co&gt;</b>"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ client.nmae }}", "client has no 'nmae'"),
        ("{{ nobody }}", "values has no 'nobody'"),
        ("{{ client.tags.9 }}", "client.tags has no '9'"),
        ("{{ client.tags.-1 }}", "client.tags has no '-1'"),
        ("{{ client }}", "is an object"),
        ("{{ client.tags }}", "is a list"),
        ("{{ text.__class__ }}", "text has no '__class__'"),
        ("{{ }}", "names nothing"),
        ("a {{ client.name", "never closed"),
        ("{{ client.tags.²}}", "has no"),
    ],
)
def test_what_cannot_be_filled_is_named(text: str, words: str) -> None:
    with pytest.raises(Fault) as caught:
        fill(text)
    assert words in (caught.value.detail or "")
    assert caught.value.status == 400


def test_a_short_template_cannot_grow_without_bound() -> None:
    with pytest.raises(Fault, match="larger than the limit of 131072 bytes"):
        fill("{{ long }}" * 10_000)
