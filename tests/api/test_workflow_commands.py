"""`perdure workflows` as people and pipelines use it: files, cases, and the real API on a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner, Result

from domain.definitions import documents
from domain.definitions.drafts import LONGEST, places
from domain.definitions.values import ValueRefused, check_value
from perdure.cli import workflow_push
from perdure.cli.app import app
from perdure.cli.workflow_files import as_text, read
from tests.api.house import House, house
from tests.domain.sample_definitions import JSON

__all__ = ["house"]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GREETING = """\
name: Greeting
description: Says hello
definition:
  do:
    - wait a day: {wait: 1 day}
    - greet:
        call: data.template
        with: {text: "Hello {{ name }}", values: {name: "${ .name }"}}
        output: {as: .text}
triggers:
  - type: manual
layout: {greet: [40, 80]}
"""
CASES = """\
cases:
  - name: says hello
    input: {name: Ada}
    mocks: {greet: {output: {text: Hello Ada}}}
    expect:
      output: Hello Ada
      path: [wait a day, greet]
      elapsed: 1 day
      calls: {greet: {values: {name: Ada}}}
  - name: is refused
    input: {name: Ada}
    mocks: {greet: {error: {status: 503, title: Down}}}
    expect: {error: {status: 503, instance: /do/1/greet}}
"""
Perdure = Callable[..., Awaitable[Result]]


def offline(*words: str, **variables: str) -> Result:
    return CliRunner().invoke(
        app, ["workflows", *words], env={"NO_COLOR": "1", "COLUMNS": "200", **variables}
    )


@pytest.fixture
async def perdure(house: House) -> AsyncIterator[Perdure]:
    config = uvicorn.Config(house.app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn signals it by nothing else
        await asyncio.sleep(0.01)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    key = house.owner.http.headers["Authorization"].removeprefix("Bearer ")

    async def run(*words: Any) -> Result:
        return await asyncio.to_thread(offline, *map(str, words), PERDURE_API=address, PERDURE_API_KEY=key)

    yield run
    server.should_exit = True
    await serving


def written(folder: Path, text: str = GREETING, name: str = "greeting.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


# Offline


def test_the_examples_are_valid() -> None:
    files = sorted(str(each) for each in EXAMPLES.glob("*.yaml") if not each.name.endswith(".test.yaml"))
    done = offline("validate", *files)
    assert done.exit_code == 0, done.stderr
    assert f"{len(files)} file" in done.stdout


def test_validate_says_file_line_and_column(tmp_path: Path) -> None:
    path = written(tmp_path, GREETING.replace("data.template", "data.tempalte").replace("1 day}", "1 moon}"))
    done = offline("validate", str(path))
    assert done.exit_code == 1
    assert f"{path}:5:20: error `moon` is not a unit of time" in done.stderr
    assert (
        f"{path}:7:9: error There is no action `data.tempalte`. Did you mean `data.template`?" in done.stderr
    )
    assert "1 file checked: 2 errors, 0 warnings." in done.stdout
    told = json.loads(offline("validate", str(path), "--json").stdout)
    assert told["valid"] is False
    assert {(each["line"], each["column"], each["pointer"]) for each in told["problems"]} == {
        (5, 20, "/do/0/wait a day/wait"),
        (7, 9, "/do/1/greet/call"),
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "greeting.yaml:1"),
        ("- a", "holds no mapping"),
        ("name: A\nsteps: []", "has no `steps`"),
        ("definition: {do: []}", "`name` is missing"),
        ("name: A\ndefinition: 7", "2:1: `definition` is a mapping"),
        ("", "is empty"),
    ],
)
@pytest.mark.parametrize("command", ["validate", "test", "graph", "explain"])
def test_what_is_no_workflow_file_is_told(tmp_path: Path, command: str, text: str, told: str) -> None:
    done = offline(command, str(written(tmp_path, text)))
    assert done.exit_code == 1
    assert told in done.stderr
    assert isinstance(done.exception, SystemExit)
    assert "error" in json.loads(offline(command, str(tmp_path / "none.yaml"), "--json").stdout)


def test_cases_pass_and_fail(tmp_path: Path) -> None:
    path = written(tmp_path)
    cases = written(tmp_path, CASES, "greeting.test.yaml")
    done = offline("test", str(path))
    assert done.exit_code == 0, done.stdout + done.stderr
    assert "2 cases: 2 passed, 0 failed." in done.stdout
    assert "1 d" in done.stdout

    cases.write_text(
        CASES.replace("output: Hello Ada", "output: Hello Bob").replace("instance: /do/1", "instance: /do/2")
    )
    failed = offline("test", str(path), "--json")
    assert failed.exit_code == 1
    told = json.loads(failed.stdout)
    assert [each["failures"] for each in told["cases"]] == [
        ['output: "Hello Ada" instead of "Hello Bob"'],
        ['error/instance: "/do/1/greet" instead of "/do/2/greet"'],
    ]
    assert told["cases"][0]["run"]["trace"][0]["name"] == "wait a day"
    assert offline("test", str(path), "--case", "says hello").exit_code == 1
    assert "There are says hello, is refused." in offline("test", str(path), "--case", "none").stderr


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("{name: a}", "2:5: A case says what it expects."),
        ("{name: a, expect: {}, mock: {}}", "A case has no `mock`."),
        ("{expect: {result: 1}}", "Nothing expects `result`"),
        ("{starts_at: soon, expect: {}}", "`starts_at` is a moment"),
    ],
)
def test_what_is_no_case_is_told(tmp_path: Path, case: str, told: str) -> None:
    written(tmp_path, f"cases:\n  - {case}\n", "greeting.test.yaml")
    done = offline("test", str(written(tmp_path)))
    assert done.exit_code == 1
    assert told in done.stderr


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("{mocks: {gret: {output: 1}}, expect: {}}", "Did you mean `greet`?"),
        ("{expect: {status: failed}}", "It ended"),
        ("{input: {name: A}, expect: {path: [greet]}}", 'The path was ["wait a day", "greet"]'),
        ("{input: {name: A}, expect: {elapsed: PT5S}}", "instead of PT5S"),
        ("{input: {name: A}, expect: {output_contains: {a: 1}}}", 'output: "Hello A" instead of {"a": 1}'),
        ("{input: {name: A}, expect: {calls: {greet: []}}}", "was called 1 times instead of 0"),
    ],
)
def test_what_fails_says_why(tmp_path: Path, case: str, told: str) -> None:
    written(tmp_path, f"cases:\n  - {case}\n", "greeting.test.yaml")
    done = offline("test", str(written(tmp_path)), "--json")
    assert done.exit_code == 1
    [found] = json.loads(done.stdout)["cases"]
    assert told in " ".join(found["failures"])


def test_graph_explain_and_diff_of_files(tmp_path: Path) -> None:
    path, other = written(tmp_path), written(tmp_path, GREETING.replace("1 day", "2 days"), "other.yaml")
    drawing = tmp_path / "greeting.svg"
    assert offline("graph", str(path), "-o", str(drawing)).exit_code == 0
    ElementTree.parse(drawing)
    ElementTree.fromstring(offline("graph", str(path)).stdout)
    assert len(json.loads(offline("graph", str(path), "--json").stdout)["nodes"]) == 4
    assert "“wait a day” waits 1 day." in offline("explain", str(path)).stdout
    same = offline("diff", str(path), str(path))
    assert (same.exit_code, same.stdout) == (0, "No difference.\n")
    differs = offline("diff", str(path), str(other))
    assert differs.exit_code == 1
    assert '    wait: "1 day" → "2 days"' in differs.stdout


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_what_is_written_is_read_back(value: Any) -> None:
    try:
        value = check_value(value)
    except ValueRefused:
        return  # what cannot be stored is never written
    parts = {"name": "x", "definition": {"do": [{"a": {"set": {"v": value}}}]}}
    text = as_text(parts)
    assert documents.load(text).value == parts
    assert as_text(parts) == text
    assert documents.load(as_text(parts, json_text=True)).value == parts


def test_texts_of_several_lines_stay_readable() -> None:
    text = as_text(
        {"name": "on", "definition": {"do": [{"a": {"set": {"t": "one\ntwo\n", "v": "1.0", "n": "no"}}}]}}
    )
    assert "t: |\n" in text
    assert documents.load(text).value["definition"]["do"][0]["a"]["set"] == {
        "t": "one\ntwo\n",
        "v": "1.0",
        "n": "no",
    }


# With the server


async def test_push_pull_and_push_again(house: House, perdure: Perdure, tmp_path: Path) -> None:
    path = written(tmp_path)
    tried = await perdure("push", path, "--dry-run", "--json")
    assert (tried.exit_code, json.loads(tried.stdout)["action"]) == (0, "create")
    assert await house.everything("workflows") == []
    assert "Greeting would be new: not stored yet" in (await perdure("push", path, "--dry-run")).stdout

    made = await perdure("push", path, "--publish")
    assert made.exit_code == 0, made.stderr
    assert "Greeting is new" in made.stdout
    assert "Published as version 1." in made.stdout
    again = await perdure("push", path)
    assert "Greeting is up to date" in again.stdout
    [row] = await house.everything("workflows")
    assert (row["description"], places(row["layout"])) == ("Says hello", {"greet": [40, 80]})

    pulled = tmp_path / "pulled.yaml"
    assert (await perdure("pull", pulled)).exit_code == 1, "which one is not said"
    assert (await perdure("pull", pulled, "--workflow", "Greeting")).exit_code == 0
    assert read(pulled).whole == read(path).whole
    before = pulled.read_bytes()
    assert "is up to date" in (await perdure("pull", path)).stdout
    assert path.read_text() == GREETING, "what says the same keeps its comments and its form"
    pulled.unlink()
    await perdure("pull", pulled, "--workflow", str(row["id"]))
    assert pulled.read_bytes() == before

    path.write_text(GREETING.replace("1 day", "2 days").replace("Says hello", "Says hello late"))
    shown = await perdure("diff", path)
    assert shown.exit_code == 1
    assert "Greeting would be changed" in (await perdure("push", path, "--dry-run")).stdout
    changed = await perdure("push", path)
    for each in (shown, changed):
        assert '    wait: "1 day" → "2 days"' in each.stdout
    assert "~ description changed" in changed.stdout


async def test_a_push_overwrites_nobody(
    house: House, perdure: Perdure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody saves between the comparison and the write."""
    path = written(tmp_path)
    await perdure("push", path)
    [row] = await house.everything("workflows")
    original = workflow_push.compare
    loop = asyncio.get_running_loop()

    def meanwhile(*sides: Any) -> Any:
        change = house.owner.change(f"/v1/workflows/{row['id']}", {"category": "tax"}, f'"{row["revision"]}"')
        assert asyncio.run_coroutine_threadsafe(change, loop).result(30).status_code == 200
        return original(*sides)

    monkeypatch.setattr(workflow_push, "compare", meanwhile)
    path.write_text(GREETING.replace("1 day", "2 days"))
    refused = await perdure("push", path)
    assert refused.exit_code == 1
    assert "Somebody has changed “Greeting” meanwhile" in refused.stderr
    assert f"perdure workflows diff {path}" in refused.stderr
    [row] = await house.everything("workflows")
    assert row["definition"]["do"][0] == {"wait a day": {"wait": "1 day"}}


COMMENTED = """\
# Why we greet: see the handbook.

definition:   # order and spaces are the author's
    do:
    - greet: {set: {zeta: 1, 'alpha': "two"}}   # the only step
name:   "Greeting"
description: >-
    Says
    hello
"""


@pytest.mark.parametrize("text", [COMMENTED, COMMENTED.replace("\n", "\r\n"), "\ufeff" + COMMENTED.rstrip()])
async def test_what_is_pulled_is_what_was_pushed_to_the_letter(
    perdure: Perdure, tmp_path: Path, text: str
) -> None:
    path, copy = tmp_path / "greeting.yaml", tmp_path / "copy.yaml"
    path.write_bytes(text.encode())
    assert (await perdure("push", path)).exit_code == 0
    assert (await perdure("pull", copy, "--workflow", "Greeting")).exit_code == 0
    assert copy.read_bytes() == text.encode()
    assert "is up to date" in (await perdure("pull", copy)).stdout
    assert "is up to date" in (await perdure("push", copy)).stdout

    path.write_bytes(text.replace("see the handbook", "it is polite").encode())
    assert (await perdure("diff", path)).exit_code == 0, "comments are no drift"
    pushed = await perdure("push", path)
    assert pushed.stdout.startswith("~ comments or order changed\n")
    await perdure("pull", copy)
    assert copy.read_bytes() == path.read_bytes()


async def test_what_was_edited_in_the_console_is_pulled_as_it_was_written(
    house: House, perdure: Perdure, tmp_path: Path
) -> None:
    path = written(tmp_path, COMMENTED)
    pushed = json.loads((await perdure("push", path, "--json")).stdout)
    theirs = COMMENTED.replace("zeta: 1", "zeta:   2").replace("only", "first")
    seen = (await house.owner.get(f"/v1/workflows/{pushed['id']}")).json()["revision"]
    source = f"/v1/workflows/{pushed['id']}/source"
    edited = await house.owner.change(source, {"text": theirs}, f'"{seen}"', "PUT")
    assert edited.status_code == 200, edited.text
    assert (await perdure("diff", path)).exit_code == 1, "drift"

    path.write_text(COMMENTED.replace("two", "three"))
    refused = await perdure("push", path, "--revision", seen)
    assert refused.exit_code == 1
    assert f"its revision is {seen} no more. Nothing was stored." in refused.stderr
    assert (await house.owner.get(source)).json()["text"] == theirs

    assert (await perdure("pull", path)).exit_code == 0
    assert path.read_text() == theirs
    path.write_text(theirs.replace("two", "three"))
    assert (await perdure("push", path, "--revision", edited.json()["revision"])).exit_code == 0


async def test_what_the_author_takes_out_is_gone_and_what_others_say_stays(
    house: House, perdure: Perdure, tmp_path: Path
) -> None:
    path = written(tmp_path)
    id = json.loads((await perdure("push", path, "--json")).stdout)["id"]
    seen = (await house.owner.get(f"/v1/workflows/{id}")).json()["revision"]
    await house.owner.change(f"/v1/workflows/{id}", {"category": "tax"}, f'"{seen}"')
    path.write_text(GREETING.replace("description: Says hello\n", ""))
    assert "~ description changed" in (await perdure("push", path)).stdout
    [row] = await house.everything("workflows")
    assert (row["description"], row["category"]) == (None, "tax")


async def test_without_a_text_of_its_author_one_is_made(
    house: House, perdure: Perdure, tmp_path: Path
) -> None:
    body = {
        "name": "Greeting",
        "description": "Made by API",
        "definition": {"do": [{"a": {"set": {"b": 1}}}]},
    }
    assert (await house.owner.post("/v1/workflows", body)).status_code == 201
    for name in ("greeting.yaml", "greeting.json"):
        pulled = tmp_path / name
        assert (await perdure("pull", pulled, "--workflow", "Greeting")).exit_code == 0
        assert {each: read(pulled).parts[each] for each in body} == body
    json.loads(pulled.read_text())
    await perdure("push", written(tmp_path, COMMENTED))
    assert (await perdure("pull", pulled)).exit_code == 0
    json.loads(pulled.read_text())  # what is called JSON stays JSON


async def test_a_text_too_long_to_be_kept_is_stored_all_the_same(perdure: Perdure, tmp_path: Path) -> None:
    path = written(tmp_path, GREETING + "# long\n" * (LONGEST // 6))
    assert "is new" in (await perdure("push", path)).stdout
    assert "is up to date" in (await perdure("push", path)).stdout
    path.write_text(path.read_text().replace("1 day", "2 days"))
    assert "is changed" in (await perdure("push", path)).stdout
    pulled = tmp_path / "pulled.yaml"
    await perdure("pull", pulled, "--workflow", "Greeting")
    assert read(pulled).parts == read(path).parts


async def test_a_bare_document_that_is_called_otherwise_is_told(
    house: House, perdure: Perdure, tmp_path: Path
) -> None:
    made = await house.owner.post("/v1/workflows", {"name": "Hello there", "definition": "do: []  # none\n"})
    path = tmp_path / "hello.yaml"
    pulled = await perdure("pull", path, "--workflow", "Hello there")
    assert path.read_text() == "do: []  # none\n"
    assert f"push it with --workflow {made.json()['id']}" in pulled.stderr


async def test_a_bare_document_changes_the_definition_alone(
    house: House, perdure: Perdure, tmp_path: Path
) -> None:
    await perdure("push", written(tmp_path, "# Why\n" + GREETING))
    bare = written(tmp_path, "document: {title: Greeting}\ndo: [{only: {set: {a: 1}}}]\n", "bare.yaml")
    assert (await perdure("push", bare)).exit_code == 0
    [row] = await house.everything("workflows")
    assert (row["description"], places(row["layout"])) == ("Says hello", {"greet": [40, 80]})
    assert row["definition"]["do"] == [{"only": {"set": {"a": 1}}}]
    assert "Greeting is up to date" in (await perdure("push", bare)).stdout
    whole = tmp_path / "whole.yaml"
    await perdure("pull", whole, "--workflow", "Greeting")
    assert whole.read_text().startswith("# Why\n"), "the whole text stays its author's"


async def test_a_draft_with_errors_is_stored_but_not_published(
    house: House, perdure: Perdure, tmp_path: Path
) -> None:
    path = written(tmp_path, GREETING.replace("data.template", "nothing"))
    done = await perdure("push", path, "--publish")
    assert done.exit_code == 1
    assert f"{path}:7:9: error" in done.stderr
    assert len(await house.everything("workflows")) == 1
    assert await house.everything("workflow_versions") == []


async def test_names_must_be_clear(house: House, perdure: Perdure, tmp_path: Path) -> None:
    path = written(tmp_path)
    missing = await perdure("run", path)
    assert (missing.exit_code, "No workflow is called “Greeting”" in missing.stderr) == (1, True)
    for _ in range(2):
        await house.owner.post("/v1/workflows", {"name": "Greeting", "definition": {"do": []}})
    twice = await perdure("push", path, "--json")
    assert twice.exit_code == 1
    assert "2 workflows are called" in json.loads(twice.stdout)["error"]["message"]


async def test_run_starts_what_is_published(house: House, perdure: Perdure, tmp_path: Path) -> None:
    path = written(tmp_path)
    await perdure("push", path)
    refused = await perdure("run", path, "--no-follow")
    assert refused.exit_code == 1
    await perdure("push", path, "--publish")
    given = written(tmp_path, '{"name": "Ada"}', "input.json")
    started = await perdure("run", path, "--no-follow", "--json", "--input", f"@{given}")
    assert started.exit_code == 0, started.stderr
    [execution] = await house.everything("workflow_executions")
    assert json.loads(started.stdout)["id"] == str(execution["id"])
    assert execution["trigger_data"]["input"] == {"name": "Ada"}
    assert (await perdure("run", path, "--input", "{")).exit_code == 1


async def test_run_follows_to_the_end(house: House, perdure: Perdure, tmp_path: Path) -> None:
    """The dispatcher of this house carries nothing; the row is ended by hand."""
    path = written(tmp_path)
    await perdure("push", path, "--publish")
    running = asyncio.create_task(perdure("run", path))
    while not (rows := await house.everything("workflow_executions")):  # noqa: ASYNC110  a row tells nobody
        await asyncio.sleep(0.02)
    async with house.working() as tx:
        from sqlalchemy import text

        await tx.execute(
            text(
                "UPDATE workflow_executions SET status = 'completed', progress = 100, output = '\"Hello\"'::jsonb,"
                " completed_at = now(), updated_at = now() WHERE id = :id"
            ),
            {"id": rows[0]["id"]},
        )
    done = await asyncio.wait_for(running, 60)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip().endswith('"Hello"')
    assert "completed" in done.stderr


def test_the_page_about_files_shows_what_works(tmp_path: Path) -> None:
    page = (EXAMPLES.parent / "docs" / "workflow-files.md").read_text("utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    for block in blocks:
        name, _, text = block.removeprefix("# file: ").partition("\n")
        (tmp_path / name).write_text(text, "utf-8")
    checked = offline("validate", str(tmp_path / "order.yaml"))
    assert checked.exit_code == 0, checked.stderr
    done = offline("test", str(tmp_path / "order.yaml"))
    assert done.exit_code == 0, done.stdout + done.stderr


def test_the_example_passes_its_cases() -> None:
    done = offline("test", str(EXAMPLES / "client-onboarding.yaml"))
    assert done.exit_code == 0, done.stdout + done.stderr
