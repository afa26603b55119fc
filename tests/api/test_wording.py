"""Words that pages share."""

import pytest

from api.console.frame.templates import environment
from api.console.frame.wording import begun_by, field_of, for_people


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("manual:api", "By hand, over the API"),
        ("manual:console", "By hand, in the console"),
        ("manual:till", "By hand (till)"),
        ("manual", "By hand"),
        ("event:issued", "Event issued"),
        ("schedule:schedule", "Schedule"),
        ("schedule:each Monday: 9", "Schedule each Monday: 9"),
        ("webhook:GitHub", "Webhook GitHub"),
        ("workflow:onboarding", "Workflow onboarding"),
        ("", ""),
    ],
)
def test_what_began_an_execution_is_said_in_words(trigger: str, words: str) -> None:
    assert begun_by(trigger) == words


def test_no_page_spells_it_otherwise() -> None:
    for name in environment.list_templates(extensions=["html"]):
        text = (environment.loader.get_source(environment, name) if environment.loader else ("",))[0]
        assert text.count("trigger_event") == text.count("trigger_event|begun_by"), name


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("The request does not have the expected form; see `errors` for each place and its mend.", ""),
        ("The definition has 2 errors; see `errors` for each.", "The definition has 2 errors."),
        ("3 are meant; look again, and send `expected: 3`.", "3 are meant; look again."),
        ("The schedule is off.", "The schedule is off."),
    ],
)
def test_a_refusal_says_nothing_that_only_programs_can_follow(message: str, told: str) -> None:
    assert for_people(message) == told


@pytest.mark.parametrize(
    ("pointer", "field"),
    [
        ("#/due_at", "Due at"),
        ("path/name", "Name"),
        ("data", "Data"),
        ("#", ""),
        ("", ""),
        ("/do/1/Approve", ""),
        ("#/definition/do", ""),
    ],
)
def test_a_problem_names_the_field_of_a_form(pointer: str, field: str) -> None:
    assert field_of(pointer) == field
