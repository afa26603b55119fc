"""`hooks send`: be the provider of a webhook trigger: sign a body, send it, and show what was answered."""

import asyncio
import re
import sys
import time
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import httpx2
import orjson
import typer
from rich.table import Table
from rich.text import Text

from domain.definitions.validation.report import Report
from domain.definitions.validation.triggers import check_webhook
from domain.webhooks.configuration import Configuration, SchemeName
from domain.webhooks.schemes import Scheme, scheme_of
from perdure.cli.api import Key, client
from perdure.cli.output import AsJson, DataDir, Progress, emit, err, explained, line, out
from workers.devstack.errors import StackError
from workers.devstack.state import DEFAULT_FOLDER

app = typer.Typer(help="Webhook triggers.", no_args_is_help=True)
SECRET = "PERDURE_HOOK_SECRET"  # noqa: S105  the name of a variable
PATIENCE_SECONDS = 60.0
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE: Final = re.compile(r"[\t -~]*", re.ASCII)
#: Of an answer that names no execution, this many characters are shown.
_TOLD: Final = 300
Server = Annotated[
    str | None,
    typer.Option("--api", "--server", envvar="PERDURE_API", help="With --trigger: where to ask for it."),
]


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
    """One answer; `body` is what was answered, as JSON where it was some; a page is nothing Perdure answers."""

    status: int
    body: Any
    milliseconds: int
    is_page: bool = False

    @property
    def execution_id(self) -> str | None:
        """Of the execution that the answer names, if it names one."""
        found = self.body.get("execution_id") if isinstance(self.body, dict) else None
        return found if isinstance(found, str) else None


@app.callback()
def hooks() -> None:
    """A callback keeps `send` a command of its own while it is the only one."""


@app.command()
def send(
    file: Annotated[str, typer.Argument(help="The body; `-` reads standard input.")] = "-",
    trigger: Annotated[
        str | None, typer.Option(help="The trigger's id; its address is asked of the API.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The address, instead of a trigger.")] = None,
    api: Server = None,
    key: Key = None,
    data_dir: DataDir = DEFAULT_FOLDER,
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
        target = _target(trigger, url, scheme, signature, (api, key, data_dir))
        how = scheme_of(target.configuration)
        known = _secret(how, secret)
        id = _event_id(event_id)
        headers = {"content-type": content_type, **_headers(header)}
        headers |= how.sign(body, known, id, int(time.time()))
        _check_sendable(headers)
        with Progress("Sending", lines=False) as progress:
            progress.say(f"event {id}, {repeat} times")
            answers = asyncio.run(_send_all(method, target.url, headers, body, repeat, concurrent))
    _show(id, answers, as_json)
    if any(each.is_page for each in answers):
        mend = "Is it the address that the trigger shows as `url`?"
        line(err, f"What answers at {target.url.partition('/v1/')[0]} is a web page, not Perdure. {mend}")
    if any(each.is_page or not 200 <= each.status < 300 for each in answers):
        raise typer.Exit(1)


async def _send_all(
    method: str, url: str, headers: dict[str, str], body: bytes, repeat: int, concurrent: bool
) -> list[Sent]:
    async with httpx2.AsyncClient(timeout=PATIENCE_SECONDS, trust_env=False) as http:

        async def once() -> Sent:
            began = time.monotonic()
            answer = await http.request(method, url, content=body, headers=headers)
            taken = round((time.monotonic() - began) * 1000)
            return Sent(answer.status_code, _read(answer), taken, _is_page(answer))

        try:
            if concurrent:
                return list(await asyncio.gather(*(once() for _ in range(repeat))))
            return [await once() for _ in range(repeat)]
        except (httpx2.InvalidURL, UnicodeError):
            raise StackError(f"`{url}` is no address.", "Write http://host/v1/hooks/….") from None
        except httpx2.HTTPError as error:
            raise StackError(
                f"The address does not answer: {error or type(error).__name__}.",
                "Is the server running (`perdure up`), and is the address right?",
            ) from None


def _read(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return answer.text[:1_000]


def _is_page(answer: httpx2.Response) -> bool:
    return answer.headers.get("content-type", "").lower().startswith(("text/html", "application/xhtml"))


def _target(
    trigger: str | None,
    url: str | None,
    scheme: SchemeName,
    signature: str | None,
    where: tuple[str | None, str | None, Path],
) -> Target:
    if (trigger is None) == (url is None):
        raise StackError("Say where to send.", "Give either --trigger or --url.")
    if url is not None:
        return Target(url, _configuration(scheme, signature))
    return _asked(str(trigger), *where)


def _asked(trigger: str, api: str | None, key: str | None, data_dir: Path) -> Target:
    """Address and scheme, from the server."""
    try:
        with client(api, key, data_dir) as perdure:
            found = perdure.get(f"/v1/triggers/{quote(trigger, safe='')}")
            asked = str(perdure.http.base_url).rstrip("/")
        given, stored = found["url"], found["configuration"]
    except UnicodeEncodeError:
        raise StackError(
            "The API key is no key of ours: it holds other than ASCII.", "Copy it again."
        ) from None
    except (httpx2.InvalidURL, ValueError, KeyError, TypeError):
        raise StackError(
            "What was asked for the trigger does not answer as Perdure does.", "Check --api (or PERDURE_API)."
        ) from None
    if given is None:
        raise StackError(
            "This trigger has no address to show.", "It must be a webhook, and the key needs triggers:write."
        )
    # The address names the public host; the request goes to the server that was asked.
    return Target(f"{asked}/v1/hooks/{given.rpartition('/')[2]}", Configuration.parse(stored))


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


def _event_id(given: str | None) -> str:
    """The id that was given, or a fresh one; most schemes put it into a header."""
    if given is not None and not (given and _VALUE.fullmatch(given)):
        raise StackError(
            "--event-id holds other than visible ASCII, which no header carries.", "Write it in ASCII."
        )
    return given or str(uuid.uuid4())


def _check_sendable(headers: dict[str, str]) -> None:
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise StackError(
                f"The header `{name}` cannot be sent: names are letters, digits and -, values visible ASCII.",
                "Write what it says in ASCII, or put it into the body.",
            )


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
    naming = [each.execution_id for each in answers if each.execution_id is not None]
    executions = set(naming)
    if as_json:
        listed = [{"status": e.status, "milliseconds": e.milliseconds, "body": e.body} for e in answers]
        emit({"event_id": event_id, "executions": sorted(executions), "answers": listed})
        return
    table = Table(title=Text(f"Event {event_id}"), title_justify="left")
    for column in ("#", "status", "execution", "duplicate", "ms"):
        table.add_column(column, justify="right" if column in ("#", "ms") else "left", overflow="fold")
    for number, each in enumerate(answers, start=1):
        body = each.body if isinstance(each.body, dict) else {"detail": each.body}
        told = body.get("execution_id") or body.get("detail") or body.get("challenge") or ""
        duplicate = {True: "yes", False: "no"}.get(bool(body["duplicate"])) if "duplicate" in body else ""
        shown = Text(" ".join(str(told).split())[:_TOLD])
        table.add_row(str(number), str(each.status), shown, duplicate, str(each.milliseconds))
    out.print(table)
    repeats = sum(1 for each in answers if isinstance(each.body, dict) and each.body.get("duplicate"))
    if len(answers) > 1:
        noun = "execution" if len(executions) == 1 else "executions"
        out.print(f"{len(executions)} {noun}, named by {len(naming)} answers; {repeats} were repeats.")
