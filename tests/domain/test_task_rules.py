"""The rules of tasks: candidates, moments, digests, words; what a definition and a dry run say of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from activities.actions.registry import built_in
from domain.definitions import documents
from domain.definitions.dryrun import Trial, dry_run
from domain.definitions.explain import explain
from domain.definitions.portable import portable
from domain.definitions.program import load_program
from domain.definitions.publishing import publish
from domain.definitions.validation import validate
from domain.tasks import Candidate, Due, Known, digest_of, impossible, planned
from domain.tasks.words import until
from tests.domain.test_dryrun import run

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
CATALOGUE = built_in().specs()
# The same in every process that shares the suite: a parameter is made of one.
ADA, BOB, CLIENT = (UUID(int=number) for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("user:Ada@Example.test", "user:ada@example.test"),
        ("role:Senior Reviewer", "role:senior reviewer"),
        (f"client:{CLIENT}".upper().replace("CLIENT", "client"), f"client:{CLIENT}"),
    ],
)
def test_candidates_are_read_in_one_spelling(text: str, read: str) -> None:
    assert str(Candidate.parse(text)) == read


@pytest.mark.parametrize(
    "text", ["ada@example.test", "user:ada", "role:", "client:7", "team:x", "role:a;b", ""]
)
def test_what_is_no_candidate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Candidate.parse(text)


def known(**given: Any) -> Known:
    return Known(**{"unknown": {}, "people": (), "clients": (), "barred": (), "is_open": False, **given})


@pytest.mark.parametrize(
    ("candidates", "quorum", "facts", "why"),
    [
        ([], 3, known(), None),
        (["user:a"], 1, known(people=[ADA]), None),
        (["user:a"], 1, known(unknown={"user:a": "a is nobody"}), "a is nobody"),
        (["user:a", "user:b"], 1, known(unknown={"user:a": "a is nobody"}, people=[BOB]), None),
        (["user:a", "user:b"], 2, known(unknown={"user:a": "a is nobody"}, people=[BOB]), "only 1"),
        (["user:a", "user:b"], 2, known(people=[ADA, BOB], barred=[ADA]), "four_eyes leaves 1"),
        (["user:a"], 1, known(people=[ADA], barred=[ADA]), "four_eyes leaves 0"),
        (["role:x"], 2, known(people=[ADA], is_open=True), None),
        (["user:a", "client:c"], 2, known(people=[ADA], clients=[CLIENT]), None),
    ],
)
def test_a_task_that_nobody_could_ever_decide_is_found_before_it_waits(
    candidates: list[str], quorum: int, facts: Known, why: str | None
) -> None:
    told = impossible(candidates, quorum, facts)
    assert told is None if why is None else why in str(told)


def test_moments_come_in_their_order() -> None:
    moments = planned(
        NOW, due=10 * HOUR, reminders=[HOUR, 2 * HOUR, 99 * HOUR], escalates=True, escalate_after=5 * HOUR
    )
    assert moments.next == NOW + 5 * HOUR
    assert moments.due(NOW + 5 * HOUR) == [Due.ESCALATE]
    left = moments.after(NOW + 5 * HOUR)
    assert (left.next, left.due(NOW + 8.5 * HOUR)) == (NOW + 8 * HOUR, [Due.REMIND])
    assert moments.due(NOW + 10 * HOUR) == [Due.ESCALATE, Due.OVERDUE]
    assert moments.after(NOW + 10 * HOUR).next is None
    assert planned(NOW, due=None).next is None
    assert planned(NOW, due=HOUR, announces=True).due(NOW) == [Due.ANNOUNCE]
    assert planned(NOW, due=HOUR, escalates=True).escalate_at == NOW + HOUR


def test_equal_arguments_have_equal_digests() -> None:
    assert digest_of({"a": 1, "b": [1.5, "ä"]}) == digest_of({"b": [1.5, "ä"], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})
    assert digest_of({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_deadlines_are_told_in_the_organizations_zone() -> None:
    due = datetime(2026, 11, 27, 17, tzinfo=UTC)
    assert until(None, "UTC", ends=False, now=NOW) == "There is no deadline."
    said = until(due, "Australia/Lord_Howe", ends=True, now=NOW)
    assert said == "It can be answered until Saturday 28 November 2026, 04:00 (Australia/Lord_Howe)."
    assert "(UTC)" in until(due, "Nowhere/None", ends=False, now=NOW)
    assert "still open" in until(due, "UTC", ends=False, now=due)


def problems(arguments: dict[str, Any], action: str = "approve") -> dict[str, str]:
    definition = {
        "do": [
            {"first": {"call": "approve", "with": {"title": "x"}}},
            {"second": {"call": action, "with": {"title": "x", **arguments}}},
        ]
    }
    return {
        each.pointer.removeprefix("/do/1/second"): each.code
        for each in validate(definition, catalogue=CATALOGUE)
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"four_eyes": ["first"]}, {}),
        ({"four_eyes": True, "quorum": 2, "arguments": [1], "links": True}, {}),
        ({"four_eyes": ["fisrt"]}, {"/with/four_eyes/0": "unknown_step"}),
        ({"four_eyes": ["${ .name }"]}, {}),
        ({"quorum": 0}, {"/with/quorum": "bad_argument"}),
        ({"on_overdue": "explode"}, {"/with/on_overdue": "bad_argument"}),
        ({"due": "soon"}, {"/with/due": "bad_duration"}),
        ({"escalate": {"after": "1 day"}}, {"/with/escalate": "missing_argument"}),
        ({"quorums": 2}, {"/with/quorums": "unknown_argument"}),
        ({"assignees": ["role:nobody yet", "user:${ .email }", "${ .who }", "Role:Manager"]}, {}),
        (
            {"assignees": ["role:manager", "manager", "team:a", "user:ada"]},
            {f"/with/assignees/{place}": "bad_argument" for place in (1, 2, 3)},
        ),
        ({"candidates": ["client:acme"]}, {"/with/candidates/0": "bad_argument"}),
        ({"escalate": {"after": "1 day", "to": ["owner"]}}, {"/with/escalate/to/0": "bad_argument"}),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(arguments: dict[str, Any], expected: dict[str, str]) -> None:
    assert problems(arguments) == expected


def test_a_form_is_what_ask_is_for() -> None:
    assert problems({}, "ask") == {"/with": "missing_argument"}
    assert problems({"form": {"type": "object"}}, "ask") == {}
    assert problems({"form": {}, "on_overdue": "reject"}, "ask") == {"/with/on_overdue": "bad_argument"}


def test_a_dry_run_knows_who_submits_and_who_approves() -> None:
    steps = "- fill: {call: ask, with: {title: x, form: {type: object, required: [n]}}}"
    asked = run(steps)
    assert asked.question is not None
    assert "outcome: submitted" in asked.question.suggestion
    done = run(steps, mocks={"fill": {"decision": {"outcome": "submitted", "data": {"n": 1}}}})
    assert (done.status, done.output["data"], "approved" in done.output) == ("completed", {"n": 1}, False)
    assert done.warnings == ()
    misfit = run(steps, mocks={"fill": {"decision": "submitted"}})
    assert "does not fit its form" in misfit.warnings[0]


@pytest.mark.parametrize(
    ("ending", "mock", "output"),
    [
        ("fail", "never", {"late": True}),
        ("fail", {"decision": "approved", "after": "3 days"}, {"late": True}),
        ("fail", {"decision": "approved", "after": "1 day"}, True),
        ("reject", "never", False),
        ("keep", {"decision": "approved", "after": "3 days"}, True),
    ],
)
def test_a_dry_run_keeps_deadlines(ending: str, mock: Any, output: Any) -> None:
    done = run(
        f"""
- try:
    try:
      - go: {{call: approve, with: {{title: x, due: 2 days, on_overdue: {ending}}}, output: {{as: .approved}}}}
    catch:
      errors: {{with: {{status: 408}}}}
      do: [{{late: {{set: {{late: true}}}}}}]
""",
        mocks={"go": mock},
    )
    assert (done.status, done.output) == ("completed", output), done


def test_tasks_are_told_in_plain_words() -> None:
    definition = {
        "do": [
            {
                "pay": {
                    "call": "approve",
                    "with": {
                        "title": "Pay it?",
                        "assignees": ["role:reviewer", "user:ada@example.test"],
                        "quorum": 2,
                        "four_eyes": True,
                        "due": "3 days",
                        "escalate": {"after": "1 day", "to": ["role:owner"]},
                        "on_overdue": "fail",
                    },
                }
            },
            {"fill": {"call": "ask", "with": {"title": "You", "form": {}, "assignees": ["client:${ .id }"]}}},
        ]
    }
    told = explain(definition, title="t").text
    assert "asks 2 different people among reviewer and ada@example.test to decide" in told
    assert "but not whoever started the workflow" in told
    assert "after 1 day owner as well" in told
    assert "asks a client by mail to fill in a form" in told


def test_other_runtimes_get_calls_of_the_actions_and_whole_expressions() -> None:
    definition = {
        "do": [
            {
                "look": {
                    "call": "approve",
                    "with": {"title": "Pay ${ .name }?", "arguments": {"n": "${ .n }"}},
                }
            },
            {
                "fill": {
                    "call": "ask",
                    "with": {"title": "For ${ $steps.look.comment }", "form": {"type": "object"}},
                }
            },
        ]
    }
    compiled = publish(definition, name="t", namespace="n", catalogue=CATALOGUE).compiled
    look, fill = (next(iter(entry.values())) for entry in portable(json.loads(json.dumps(compiled)))["do"])
    assert (look["call"], fill["call"]) == ("approve:1.0.0@default", "ask:1.0.0@default")
    assert look["with"]["arguments"] == {"n": "${ .n }"}
    for step in (look, fill):
        assert step["with"]["title"].startswith("${ ")
        assert step["with"]["title"].count("${") == 1
    assert "$context" in fill["with"]["title"]


def test_the_example_of_the_page_does_what_it_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    definition = documents.load(example).value
    assert validate(definition, catalogue=CATALOGUE) == []
    published = publish(definition, name="t", namespace="n", catalogue=CATALOGUE)
    program = load_program(json.loads(json.dumps(published.compiled)))
    filled = {"decision": {"outcome": "submitted", "data": {"account": "7"}}}
    for decide, status, output in (
        ({"decision": "approved", "after": "1 day"}, "approved", None),
        ("never", None, {"released": False}),
    ):
        mocks = {"Prepare": filled, "Decide": decide}
        done = dry_run(program, CATALOGUE, Trial({"amount": 5, "payee": "Bert"}, mocks, []))
        assert (done.status, done.warnings) == ("completed", ())
        assert done.output.get("outcome") == status
        asked = next(each for each in done.trace if each.name == "Decide")
        assert asked.as_json()["input"] == {"amount": 5, "account": "7"}
        assert output is None or done.output == output
