"""The registry's promises: clear refusals, measured results, nothing swallowed."""

from datetime import timedelta
from typing import Any

import jsonschema_rs
import pytest

from activities.actions.registry import Arguments, Registry, Result, action, built_in
from domain.actions import Effect, Lane
from domain.definitions.faults import Fault


class Echoing(Arguments):
    text: str
    times: int = 1


class Echo(Result):
    text: str


def declared(**changes: Any) -> Any:
    return action(
        **{
            "name": "test.echo",
            "version": "1.2.0",
            "title": "Echo",
            "effect": Effect.PURE,
            "lane": Lane.SEGMENT,
            "timeout": timedelta(seconds=1),
        }
        | changes
    )


@declared()
async def echo(context: Any, arguments: Echoing) -> Echo:
    """Say it
    again."""
    if arguments.text == "defect":
        raise ZeroDivisionError
    return Echo(text=arguments.text * arguments.times)


@pytest.fixture
def registry() -> Registry:
    return Registry([echo])


async def test_an_action_is_its_decorated_function(registry: Registry, make_context: Any) -> None:
    spec = registry.specs().find("test.echo")
    assert spec is not None
    assert (spec.version, spec.description, spec.effect) == ("1.2.0", "Say it again.", Effect.PURE)
    assert spec.input["required"] == ["text"]
    assert spec.output["required"] == ["text"]
    output = await registry.run("test.echo", "1.2.0", make_context(), {"text": "a", "times": 3})
    assert output == {"text": "aaa"}


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        ({}, "test.echo: /text is missing; add it"),
        ({"text": "a", "txet": 1}, "test.echo: /txet is not an argument; did you mean text?"),
        ({"text": "a", "zzz": 1}, "test.echo: /zzz is not an argument; remove it or use one of text, times"),
        ({"text": 1}, "test.echo: /text: input should be a valid string"),
        ([], "the arguments of test.echo must be an object"),
        (None, "the arguments of test.echo must be an object"),
    ],
)
async def test_refused_arguments_are_named(
    arguments: Any, detail: str, registry: Registry, make_context: Any
) -> None:
    with pytest.raises(Fault) as caught:
        await registry.run("test.echo", "1.2.0", make_context(), arguments)
    assert (caught.value.status, caught.value.type.rpartition("/")[2]) == (400, "validation")
    assert caught.value.detail == detail
    with pytest.raises(Fault):
        registry.check("test.echo", "1.2.0", arguments)


def test_a_refusal_never_repeats_the_value_and_counts_what_it_leaves_out(registry: Registry) -> None:
    with pytest.raises(Fault) as caught:
        registry.check("test.echo", "1.2.0", {"text": ["s3cret"]} | {f"x{i}": "s3cret" for i in range(30)})
    assert "s3cret" not in str(caught.value)
    assert "and 26 more" in str(caught.value)


@pytest.mark.parametrize(
    ("action", "arguments", "detail"),
    [
        (
            "email.send",
            {"to": "nobody", "subject": "a", "text": "b"},
            "/to: is not an e-mail address; write name@example.com",
        ),
        (
            "email.send",
            {"to": ["a@b.example", "nobody"], "subject": "a", "text": "b"},
            "/to/1: is not an e-mail address; write name@example.com",
        ),
        (
            "email.send",
            {"to": 7, "subject": "a", "text": "b"},
            "/to: input should be a valid string or a valid list",
        ),
        ("approve", {"title": "a", "due": 5}, "/due: input should be a valid string or an object"),
        ("http.request", {"method": "get", "endpoint": {}}, "/endpoint/uri is missing; add it"),
        (
            "http.request",
            {"method": "get", "endpoint": 5},
            "/endpoint: input should be a valid string or an object",
        ),
        (
            "http.request",
            {"method": "get", "endpoint": {"uri": "http://a", "authentication": {"bearer": {"tokn": "x"}}}},
            "/endpoint/authentication/bearer/token is missing; add it; "
            "/endpoint/authentication/bearer/tokn is not an argument; remove it",
        ),
        (
            "http.request",
            {"method": "get", "endpoint": "http://a", "headers": {"a/b": {}}},
            "/headers/a~1b: input should be a valid string or a valid integer or a valid number"
            " or a valid boolean",
        ),
        (
            "client.create",
            {"name": "a", "assigned_manager": "s3cret"},
            "/assigned_manager: input should be a valid UUID",
        ),
    ],
)
def test_a_place_is_the_argument_s_own_path(action: str, arguments: dict[str, Any], detail: str) -> None:
    with pytest.raises(Fault) as caught:
        built_in().check(action, "1.0.0", arguments)
    assert caught.value.detail == f"{action}: {detail}"


async def test_a_result_beyond_the_limit_names_it(registry: Registry, make_context: Any) -> None:
    arguments = {"text": "x" * 1000, "times": 131}
    assert await registry.run("test.echo", "1.2.0", make_context(), arguments)
    with pytest.raises(Fault, match="131072 bytes") as caught:
        await registry.run("test.echo", "1.2.0", make_context(), arguments | {"times": 132})
    assert caught.value.title == "Result refused"


async def test_an_unexpected_exception_is_not_swallowed(registry: Registry, make_context: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        await registry.run("test.echo", "1.2.0", make_context(), {"text": "defect"})


@pytest.mark.parametrize(("name", "version"), [("test.echo", "9.0.0"), ("nobody", "1.0.0")])
async def test_an_unknown_action_is_a_configuration_fault(
    name: str, version: str, registry: Registry, make_context: Any
) -> None:
    with pytest.raises(Fault, match="has no action") as caught:
        await registry.run(name, version, make_context(), {})
    assert caught.value.type.endswith("/configuration")


def test_declaring_one_version_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        Registry([echo, echo])


def test_what_this_release_ships() -> None:
    shipped = {spec.name: (spec.lane, spec.effect) for spec in built_in().specs()}
    assert shipped == {
        "approve": (Lane.TASK, Effect.IDEMPOTENT),
        "ask": (Lane.TASK, Effect.IDEMPOTENT),
        "client.contact": (Lane.SEGMENT, Effect.IDEMPOTENT),
        "client.create": (Lane.SEGMENT, Effect.IDEMPOTENT),
        "client.find": (Lane.SEGMENT, Effect.IDEMPOTENT),
        "client.get": (Lane.SEGMENT, Effect.IDEMPOTENT),
        "client.update": (Lane.SEGMENT, Effect.IDEMPOTENT),
        "data.template": (Lane.SEGMENT, Effect.PURE),
        "email.send": (Lane.ACTIVITY, Effect.KEYED),
        "event.emit": (Lane.SEGMENT, Effect.IDEMPOTENT),
        "http.request": (Lane.ACTIVITY, Effect.KEYED),
        "openapi.request": (Lane.ACTIVITY, Effect.KEYED),
        "workflow.run": (Lane.EXECUTION, Effect.IDEMPOTENT),
        "workflow.start": (Lane.SEGMENT, Effect.IDEMPOTENT),
    }


def test_every_schema_is_one() -> None:
    for spec in built_in().specs():
        jsonschema_rs.meta.validate(spec.input)
        jsonschema_rs.meta.validate(spec.output)
        assert spec.description
        # An event may have attributes of its own making; everywhere else they are mistakes.
        assert spec.input["additionalProperties"] is (spec.name == "event.emit")


async def test_a_template_is_filled(make_context: Any) -> None:
    arguments = {"text": "Dear {{ client.name }}", "values": {"client": {"name": "<Ann>"}}}
    run = built_in().run
    assert await run("data.template", "1.0.0", make_context(), arguments) == {"text": "Dear <Ann>"}
    arguments["escape"] = "html"
    assert await run("data.template", "1.0.0", make_context(), arguments) == {"text": "Dear &lt;Ann&gt;"}


async def test_a_template_at_the_limit_fits_into_the_result(make_context: Any) -> None:
    values = {"a": "x" * 60_000}
    with pytest.raises(Fault, match="larger than") as caught:
        await built_in().run(
            "data.template", "1.0.0", make_context(), {"text": "{{ a }}{{ a }}{{ a }}", "values": values}
        )
    assert caught.value.title == "Template refused"


async def test_an_email_is_sent_with_a_message_id_that_a_repeat_keeps(make_context: Any) -> None:
    run = built_in().run
    arguments = {"to": "Ann <ann@client.example>", "subject": "Hi", "text": "Hello", "bcc": ["b@c.example"]}
    context = make_context()
    first = await run("email.send", "1.0.0", context, arguments)
    again = await run("email.send", "1.0.0", context, arguments)
    other = await run("email.send", "1.0.0", make_context(occurrence="/do/0/step#2"), arguments)
    assert first == again
    assert first["accepted"] == ["ann@client.example", "b@c.example"]
    assert first["message_id"].endswith("@perdure.example>")
    assert first["message_id"] != other["message_id"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"to": "nobody", "subject": "a", "text": "b"}, "not an e-mail address"),
        ({"to": [], "subject": "a", "text": "b"}, "/to"),
        ({"to": "a@b.example", "subject": "a"}, "no body"),
        ({"to": "a@b.example", "text": "a"}, "/subject is missing"),
        ({"to": "a@b.example", "subject": "a\r\nBcc: c@d.example", "text": "b"}, "line break"),
        ({"to": "a@b.example\nBcc: c@d.example", "subject": "a", "text": "b"}, "line break"),
        ({"to": ["a@b.example"] * 51, "subject": "a", "text": "b"}, "50"),
        (
            {"to": ["a@b.example"] * 30, "cc": ["a@b.example"] * 21, "subject": "a", "text": "b"},
            "more than 50 recipients",
        ),
        (
            {"to": "a@b.example", "subject": "a", "text": "b", "from": "x@y.example"},
            "/from is not an argument",
        ),
        ({"to": "a@b.example", "subject": "a" * 501, "text": "b"}, "500"),
    ],
)
def test_a_wrong_email_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Fault) as caught:
        built_in().check("email.send", "1.0.0", arguments)
    assert words in (caught.value.detail or "")


def test_an_approval_is_checked_with_its_form() -> None:
    built_in().check(
        "approve",
        "1.0.0",
        {
            "title": "Take the client on?",
            "description": "All documents are there.",
            "assignees": ["user:ann@firm.example", "role:manager"],
            "form": {"type": "object", "properties": {"limit": {"type": "integer"}}},
            "due": "3 days",
        },
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "/title is missing"),
        ({"title": ""}, "/title"),
        ({"title": "a", "assignees": ["ann"]}, "user:<e-mail address>, role:<name>"),
        ({"title": "a", "assignees": ["user:ann"]}, "not an e-mail address"),
        ({"title": "a", "assignees": ["group:x"]}, "user:<e-mail address>, role:<name>"),
        ({"title": "a", "form": {"type": "objekt"}}, "/form"),
        ({"title": "a", "form": {"$ref": "http://127.0.0.1:1/x"}}, "/form"),
        ({"title": "a", "due": "soon"}, "/due"),
        ({"title": "a", "due": "0 days"}, "/due"),
    ],
)
def test_a_wrong_approval_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Fault) as caught:
        built_in().check("approve", "1.0.0", arguments)
    assert caught.value.status == 400
    assert words in (caught.value.detail or "")


async def test_a_task_is_never_run_as_an_action(make_context: Any) -> None:
    with pytest.raises(RuntimeError, match="approve is a wait"):
        await built_in().run("approve", "1.0.0", make_context(), {"title": "a"})
