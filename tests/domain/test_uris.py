"""URI templates: what `{name}` becomes, and what it may not be."""

import pytest

from domain.definitions.faults import Fault
from domain.uris import expand, names


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("https://a.example/pet/{id}", "https://a.example/pet/7"),
        ("https://a.example/{name}", "https://a.example/a%20b%2F..%2Fc%3Fd%23e"),
        ("https://a.example/{missing}/x", "https://a.example//x"),
        ("https://a.example/{nothing}", "https://a.example/"),
        ("https://a.example/{flag}/{half}/{whole}", "https://a.example/true/0.5/3"),
        ("https://a.example/{pet.id}", "https://a.example/dotted"),
        ("https://a.example/{umlaut}", "https://a.example/%C3%BC"),
        ("https://a.example/{braces}", "https://a.example/%7Bid%7D"),
        ("https://a.example/plain", "https://a.example/plain"),
    ],
)
def test_a_variable_is_percent_encoded_into_its_place(template: str, expected: str) -> None:
    variables = {
        "id": 7,
        "name": "a b/../c?d#e",
        "nothing": None,
        "flag": True,
        "half": 0.5,
        "whole": 3.0,
        "pet.id": "dotted",
        "pet": {"id": 1},
        "umlaut": "ü",
        "braces": "{id}",
    }
    assert expand(template, variables) == expected


@pytest.mark.parametrize("value", [{"a": 1}, [1], {}, []])
def test_a_composite_variable_is_an_expression_error(value: object) -> None:
    with pytest.raises(Fault, match="only text, numbers and booleans") as caught:
        expand("https://a.example/{it}", {"it": value})
    assert (caught.value.status, caught.value.type.rpartition("/")[2]) == (400, "expression")


@pytest.mark.parametrize(
    "template", ["https://a/{", "https://a/}", "https://a/{}", "https://a/{{a}}", "https://a/{ }"]
)
def test_malformed_braces_are_named(template: str) -> None:
    with pytest.raises(Fault, match="Malformed URI template"):
        expand(template, {"a": 1})


def test_the_names_a_template_asks_for() -> None:
    assert names("https://a.example/{pet}/{pet.id}/x") == {"pet", "pet.id"}
    assert names("https://a.example/") == frozenset()


@pytest.mark.parametrize("value", ["..", "."])
def test_a_variable_cannot_step_back_in_the_path(value: str) -> None:
    for template in ("https://a.example/x/{it}/y", "https://a.example/{it}", "https://a.example/{it}?q=1"):
        with pytest.raises(Fault, match="which path is called"):
            expand(template, {"it": value})
    assert expand("https://a.example/../{x}?d={it}#{it}", {"it": value, "x": "b"}).endswith(
        f"/../b?d={value}#{value}"
    )
    assert expand("https://a.example/v{it}z", {"it": value}) == f"https://a.example/v{value}z"
