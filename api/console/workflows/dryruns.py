"""Trying a workflow in memory: with which input, what the world answers, and what would have happened step by step."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from api.choosing import Chosen, chosen, worked_out
from api.console.frame.jsonview import json_view
from api.console.frame.shell import PageRoute, Sent, Visit, Visitor
from api.console.workflows.head import About, drawing
from api.console.workflows.starts import schema_of
from api.console.workflows.versions import DRAFT
from api.dryruns import try_out
from db.definitions import Versions
from db.tenants import Organizations
from domain.actions import Lane
from domain.definitions.dryrun import NEW_YEAR, DryRun, Trial
from domain.definitions.dryrun.samples import NoSample, sample
from domain.definitions.graph import Status
from domain.definitions.outline import Step, at, outline
from domain.errors import DomainError, Invalid, NotFound, Problem
from domain.executions import TaskOutcome
from domain.forms import Filled, Form, filled_with, form_of, read
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)
#: Before the name of a step in the names of controls.
MOCK: Final = "mock:"
#: Behind it, the name of the choice beside the text.
CHOICE: Final = "#how"
#: How a dry run ends the warning about a mock that it did not need.
UNUSED: Final = "was never used."
LONGEST_EVENTS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A step whose answer comes from outside. `outcomes` are what a person may say by a choice, `suggested` is JSON."""

    pointer: str
    name: str
    action: str
    outcomes: Mapping[str, Any] = field(default_factory=dict)
    suggested: str = ""


@router.get("/workflows/{id}/test")
async def ask(visitor: Visitor, id: UUID, version: Annotated[str, Query(max_length=20)] = DRAFT) -> Response:
    visitor.require(Permission.WORKFLOWS_READ)
    trying = await _Trying.of(visitor, id, version)
    return trying.render(filled_with(trying.form))


@router.post("/workflows/{id}/test")
async def attempt(visitor: Visitor, id: UUID) -> Response:
    """Nothing is written and nothing is called, so a GET could do it; inputs are too long for addresses."""
    visitor.require(Permission.WORKFLOWS_READ)
    sent = await visitor.form()
    trying = await _Trying.of(visitor, id, sent.get("version", DRAFT))
    filled = await worked_out(read, trying.form, sent.lists())
    if not filled.is_complete:
        return trying.render(filled, sent, status=422 if filled.problems else 200)
    try:
        trial = Trial(filled.value, _mocks(trying, sent), _events(sent), now=NEW_YEAR)
        done = await worked_out(try_out, trying.given, trying.chosen.compiled, visitor.parts.catalogue, trial)
    except DomainError as refusal:
        return trying.render(filled, sent, refusal=refusal)
    return trying.render(filled, sent, done=done)


@dataclass(frozen=True, slots=True)
class _Trying:
    """What is tried: the draft or a version of it, the form of its input and the steps that ask the world."""

    visitor: Visit
    about: About
    version: str
    numbers: list[int]
    chosen: Chosen
    given: dict[str, Any]
    form: Form

    @classmethod
    async def of(cls, visitor: Visit, id: UUID, version: str) -> "_Trying":
        async with visitor.transaction() as tx:
            about = await About.read(tx, visitor, id)
            numbers = [row["number"] for row in await Versions(tx).page(id, before=None, limit=50)]
            found = await chosen(tx, id, _number(version))
            namespace = await _namespace(tx, visitor)
        given = {"name": found.name, "definition": found.definition, "namespace": namespace}
        given |= {"triggers": found.triggers, "actions": found.actions, "variables": found.variables}
        form = await worked_out(form_of, schema_of(found.definition), zone=visitor.zone)
        return cls(visitor, about, version, numbers, found, given, form)

    @property
    def asked(self) -> list[Asked]:
        try:
            return list(_asked(self.chosen, self.visitor))
        except Invalid:
            return []

    def _warnings(self, done: DryRun, answers: Mapping[str, str]) -> Iterator[str]:
        """Nobody has to hear that an answer was not needed which nobody gave."""
        ours = [
            f"“{each.pointer}”"
            for each in self.asked
            if answers.get(MOCK + each.pointer, "") == each.suggested
        ]
        return (
            each
            for each in done.warnings
            if not (each.endswith(UNUSED) and any(name in each for name in ours))
        )

    def render(
        self,
        filled: Filled,
        sent: Sent | None = None,
        *,
        status: int = 200,
        done: DryRun | None = None,
        refusal: DomainError | None = None,
    ) -> Response:
        answers = {MOCK + each.pointer: each.suggested for each in self.asked}
        if sent is not None:
            # Browsers send line ends as CRLF.
            answers = {
                name: text.replace("\r\n", "\n") for name, text in sent.items() if name.startswith(MOCK)
            }
        values: dict[str, Any] = {
            "about": self.about,
            "here": f"{self.about.path}/test",
            "choices": [DRAFT, *map(str, self.numbers)],
            "version": self.version,
            "form": self.form,
            "filled": filled,
            "asked": self.asked,
            "answers": answers,
            "events": "" if sent is None else sent.get("events", ""),
            "done": done,
            "warnings": () if done is None else list(self._warnings(done, answers)),
            "svg": "" if done is None else _traced(self.chosen, done),
            "json_view": json_view,
        }
        if refusal is not None:
            return self.visitor.refuse("workflows/dryrun.html", refusal, **values)
        return self.visitor.render("workflows/dryrun.html", status, **values)


def _asked(tried: Chosen, visitor: Visit) -> Iterator[Asked]:
    for outermost in outline(tried.definition):
        for step in outermost.walk():
            if step.kind == "call" and isinstance(step.body["call"], str):
                yield _call(tried, visitor, step)
            elif step.kind == "run":
                yield Asked(step.pointer, step.name, "run")


def _call(tried: Chosen, visitor: Visit, step: Step) -> Asked:
    call = str(step.body["call"])
    pinned = tried.calls.get(call)
    configured = next((each for each in tried.actions or [] if at(each, "name") == call), None)
    function = at(tried.definition, "use", "functions", call)
    uses = str(
        at(configured, "uses")
        or at(function, "call")
        or (f"{pinned['action']}:{pinned['version']}" if pinned else call)
    )
    name, _, version = uses.partition("@")[0].partition(":")
    spec = visitor.parts.catalogue.find(name, version or None)
    if spec is None or spec.lane is not Lane.TASK:
        return Asked(step.pointer, step.name, call)
    forms = (at(each, "with", "form") for each in (step.body, configured, pinned, function))
    data = _sample(next(filter(None, forms), None))
    if name == "ask":
        answer = {"decision": {"outcome": TaskOutcome.SUBMITTED.value, "data": data}}
        return Asked(
            step.pointer, step.name, call, suggested=json.dumps(answer, indent=2, ensure_ascii=False)
        )
    outcomes = {
        TaskOutcome.APPROVED.value: {"decision": {"outcome": TaskOutcome.APPROVED.value, "data": data}},
        TaskOutcome.REJECTED.value: {"decision": TaskOutcome.REJECTED.value},
    }
    return Asked(step.pointer, step.name, call, outcomes)


def _sample(form: Any) -> Any:
    """Something that fits the form a person fills in, with gaps where nothing can be made up."""
    try:
        return None if form is None else sample(form)
    except NoSample:
        fields = at(form, "properties")
        return (
            {name: _sample(each) or "…" for name, each in fields.items()}
            if isinstance(fields, dict)
            else None
        )


def _mocks(trying: _Trying, sent: Sent) -> dict[str, Any]:
    """By pointer; raises Invalid naming the steps whose answers are no JSON."""
    found: dict[str, Any] = {}
    problems = []
    for each in trying.asked:
        text = sent.get(MOCK + each.pointer, "").strip()
        choice = sent.get(MOCK + each.pointer + CHOICE, "")
        if choice in each.outcomes and not text:
            found[each.pointer] = each.outcomes[choice]
        elif text:
            try:
                found[each.pointer] = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                message = f"What “{each.name}” is answered is no JSON: {error.msg}, line {error.lineno}."
                problems.append(Problem("", message, 'For example {"output": {"id": 7}}.'))
    if problems:
        raise Invalid("The dry run cannot begin.", problems=problems)
    return found


def _events(sent: Sent) -> Any:
    text = sent.get("events", "").strip()[:LONGEST_EVENTS]
    try:
        return orjson.loads(text) if text else []
    except orjson.JSONDecodeError as error:
        mend = 'For example [{"type": "com.example.paid", "data": {}, "after": "2 days"}].'
        problem = Problem("", f"The events are no JSON: {error.msg}, line {error.lineno}.", mend)
        raise Invalid("The dry run cannot begin.", problems=[problem]) from None


def _traced(tried: Chosen, done: DryRun) -> str:
    visits: dict[str, int] = {}
    states: dict[str, str] = {}
    for each in done.trace:
        visits[each.pointer] = visits.get(each.pointer, 0) + 1
        states[each.pointer] = each.status
    statuses = {pointer: Status(state, visits[pointer]) for pointer, state in states.items()}
    return drawing(
        tried.definition, tried.title, tried.layout, statuses, actions=tried.actions, calls=tried.calls
    )


def _number(version: str) -> int | None:
    if version == DRAFT:
        return None
    if not (version.isascii() and version.isdigit() and len(version) < 10 and int(version) > 0):
        raise NotFound("There is no version of this number.")
    return int(version)


async def _namespace(tx: AsyncConnection, visitor: Visit) -> str:
    return str((await Organizations(tx).get(visitor.caller.organization))["slug"])
