"""`hooks send`: be the provider of a webhook trigger: sign a body, send it, and show what was answered."""

import asyncio
import os
import sys
import time
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx2
import orjson
import typer
from rich.table import Table

from domain.definitions.validation.report import Report
from domain.definitions.validation.triggers import check_webhook
from domain.webhooks.configuration import Configuration, SchemeName
from domain.webhooks.schemes import Scheme, scheme_of
from perdure.cli.output import AsJson, Progress, emit, explained, out
from workers.devstack.errors import StackError

app = typer.Typer(help="Webhook triggers.", no_args_is_help=True)
SECRET = "PERDURE_HOOK_SECRET"  # noqa: S105  the name of a variable
KEY = "PERDURE_API_KEY"
PATIENCE_SECONDS = 60.0


class Method(StrEnum):
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    GET = "GET"


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Sent:
    """One answer; `body` is what was answered, as JSON where it was some."""

    status: int
    body: Any
    milliseconds: int


@app.callback()
def hooks() -> None:
    """A callback keeps `send` a command of its own while it is the only one."""


@app.command()
def send(
    file: Annotated[str, typer.Argument(help="The body; `-` reads standard input.")] = "-",
    trigger: Annotated[
        str | None, typer.Option(help=f"The trigger's id; its address is asked of the server, with {KEY}.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The address, instead of a trigger.")] = None,
    server: Annotated[
        str, typer.Option(envvar="PERDURE_PUBLIC_URL", help="Where to ask for the trigger.")
    ] = "http://127.0.0.1:8400",
    scheme: Annotated[
        SchemeName, typer.Option(help="With --url: how to sign. A trigger knows it.")
    ] = SchemeName.STANDARD,
    signature: Annotated[
        str | None, typer.Option(help='With --scheme hmac: `{"header": "X-Signature", …}`.')
    ] = None,
    secret: Annotated[
        str | None, typer.Option(envvar=SECRET, help=f"Better in {SECRET}; asked for when it is missing.")
    ] = None,
    event_id: Annotated[str | None, typer.Option(help="The event's id; a fresh one when absent.")] = None,
    content_type: Annotated[str, typer.Option()] = "application/json",
    header: Annotated[list[str], typer.Option(help="`Name: value`, may be repeated.")] = [],  # noqa: B006
    method: Annotated[Method, typer.Option()] = Method.POST,
    repeat: Annotated[int, typer.Option(min=1, max=1_000, help="How often the same event is sent.")] = 1,
    concurrent: Annotated[bool, typer.Option("--concurrent", help="All at once, not one by one.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sign a body as its provider would and send it; exit status 1 when any answer is a refusal."""
    with explained(as_json):
        body = _body(file)
        target = _target(trigger, url, server, scheme, signature)
        how = scheme_of(target.configuration)
        known = _secret(how, secret)
        id = event_id or str(uuid.uuid4())
        headers = {"content-type": content_type, **_headers(header)}
        headers |= how.sign(body, known, id, int(time.time()))
        with Progress("Sending", lines=False) as progress:
            progress.say(f"event {id}, {repeat} times")
            answers = asyncio.run(_send_all(method, target.url, headers, body, repeat, concurrent))
    _show(id, answers, as_json)
    if any(not 200 <= each.status < 300 for each in answers):
        raise typer.Exit(1)


async def _send_all(
    method: str, url: str, headers: dict[str, str], body: bytes, repeat: int, concurrent: bool
) -> list[Sent]:
    async with httpx2.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as http:

        async def once() -> Sent:
            began = time.monotonic()
            answer = await http.request(method, url, content=body, headers=headers)
            taken = round((time.monotonic() - began) * 1000)
            return Sent(answer.status_code, _read(answer), taken)

        try:
            if concurrent:
                return list(await asyncio.gather(*(once() for _ in range(repeat))))
            return [await once() for _ in range(repeat)]
        except httpx2.HTTPError as error:
            raise StackError(
                f"The address does not answer: {error or type(error).__name__}.",
                "Is the server running (`perdure up`), and is the address right?",
            ) from None


def _read(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return answer.text[:1_000]


def _target(
    trigger: str | None, url: str | None, server: str, scheme: SchemeName, signature: str | None
) -> Target:
    if (trigger is None) == (url is None):
        raise StackError("Say where to send.", "Give either --trigger or --url.")
    if url is not None:
        return Target(url, _configuration(scheme, signature))
    return _asked(str(trigger), server)


def _asked(trigger: str, server: str) -> Target:
    """Address and scheme, from the server."""
    key = os.environ.get(KEY)
    if not key:
        raise StackError(f"{KEY} is not set.", "Put an API key with triggers:write there, or give --url.")
    try:
        answer = httpx2.get(
            f"{server.rstrip('/')}/v1/triggers/{trigger}",
            headers={"Authorization": f"Bearer {key}"},
            timeout=PATIENCE_SECONDS,
            trust_env=False,
        )
    except httpx2.HTTPError as error:
        raise StackError(f"{server} does not answer: {error}.", "Start it, or give --server.") from None
    if answer.status_code != 200:
        raise StackError(f"The server refuses: {answer.json().get('detail')}", "Check the id and the key.")
    found = answer.json()
    if found["url"] is None:
        raise StackError(
            "This trigger has no address to show.", "It must be a webhook, and the key needs triggers:write."
        )
    # The address names the public host; the request goes to the server that was asked.
    address = server.rstrip("/") + "/v1/hooks/" + found["url"].rpartition("/")[2]
    return Target(address, Configuration.parse(found["configuration"]))


def _configuration(scheme: SchemeName, signature: str | None) -> Configuration:
    given: dict[str, Any] = {"scheme": scheme.value}
    if signature is not None:
        try:
            given["signature"] = orjson.loads(signature)
        except orjson.JSONDecodeError as error:
            raise StackError(
                f"--signature is not JSON: {error}.", 'Write {"header": "X-Signature"}.'
            ) from None
    report = Report()
    check_webhook(report, "", given)
    wrong = [problem for problem in report.problems if problem.severity == "error"]
    if wrong:
        raise StackError(f"{wrong[0].pointer}: {wrong[0].message}", wrong[0].suggestion or "See the README.")
    return Configuration.parse(given)


def _secret(how: Scheme, given: str | None) -> str:
    if not how.needs_secret:
        return ""
    if given is None and sys.stdin.isatty():
        given = typer.prompt("Signing secret", hide_input=True, err=True)
    if given is None:
        raise StackError("The signing secret is not known.", f"Put it into {SECRET}.")
    problem = how.problem_with(given)
    if problem is not None:
        raise StackError(problem, "Copy it as rotate-secret or the provider showed it.")
    return given


def _headers(written: list[str]) -> dict[str, str]:
    found = {}
    for each in written:
        name, colon, value = each.partition(":")
        if not colon or not name.strip():
            raise StackError(f"`{each}` is no header.", "Write --header 'Name: value'.")
        found[name.strip()] = value.strip()
    return found


def _body(file: str) -> bytes:
    if file == "-":
        return b"{}" if sys.stdin.isatty() else sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise StackError(
            f"{file} cannot be read: {error.strerror}.", "Name a file, or - for stdin."
        ) from None


def _show(event_id: str, answers: list[Sent], as_json: bool) -> None:
    executions = {
        each.body["execution_id"]
        for each in answers
        if isinstance(each.body, dict) and "execution_id" in each.body
    }
    if as_json:
        listed = [{"status": e.status, "milliseconds": e.milliseconds, "body": e.body} for e in answers]
        emit({"event_id": event_id, "executions": sorted(executions), "answers": listed})
        return
    table = Table(title=f"Event {event_id}", title_justify="left")
    for column in ("#", "status", "execution", "duplicate", "ms"):
        table.add_column(column, justify="right" if column in ("#", "ms") else "left", overflow="fold")
    for number, each in enumerate(answers, start=1):
        body = each.body if isinstance(each.body, dict) else {"detail": each.body}
        told = body.get("execution_id") or body.get("detail") or body.get("challenge") or ""
        duplicate = {True: "yes", False: "no"}.get(bool(body["duplicate"])) if "duplicate" in body else ""
        table.add_row(str(number), str(each.status), str(told), duplicate, str(each.milliseconds))
    out.print(table)
    repeats = sum(1 for each in answers if isinstance(each.body, dict) and each.body.get("duplicate"))
    if len(answers) > 1:
        out.print(f"{len(executions)} execution, named by {len(answers)} answers; {repeats} were repeats.")
