"""Words that pages share."""

import pytest

from api.console.frame.templates import environment
from api.console.frame.wording import begun_by


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("manual:api", "By hand (api)"),
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
