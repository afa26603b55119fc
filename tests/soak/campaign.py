"""One run of schemathesis over the whole OpenAPI document: what is sent, what is checked, what was found."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import schemathesis
from anyio.from_thread import start_blocking_portal
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from db.engine import create_engine
from tests.soak.people import Owner, People

ORGANIZATION = "X-Organization-Id"
IF_MATCH = "If-Match"
#: One request in so many keeps the ids that were drawn: those of nobody.
STRANGERS = 4
#: The first two enumerate the document, the last two draw.
PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is sent; the same seed draws the same requests from the same document."""

    seed: int
    #: Drawn per operation, and stateful sequences per machine.
    examples: int
    #: Ends drawing; what enumerates the document goes on to its end.
    seconds: int | None = None
    phases: tuple[str, ...] = PHASES


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that failed, with the request that shows it."""

    operation: str
    title: str
    message: str
    curl: str

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.operation, self.title, self.message[:120]


@dataclass
class Outcome:
    """What was sent and what came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    by_operation: dict[str, Counter[int]] = field(default_factory=dict)
    findings: dict[tuple[str, str, str], Finding] = field(default_factory=dict)
    #: What kept schemathesis itself from testing: an unreadable part of the document, for example.
    errors: list[str] = field(default_factory=list)
    signed_up: int = 0

    @property
    def requests(self) -> int:
        return self.statuses.total()


def configured(plan: Plan) -> SchemathesisConfig:
    """All checks in all phases; each exception is said here with its reason."""
    settings: dict[str, Any] = {
        "seed": plan.seed,
        "suppress-health-check": ["all"],  # two cores are shared: slowness is no finding
        "continue-on-failure": True,
        "generation": {"max-examples": plan.examples, "no-shrink": True, "database": "none"},
        "phases": {name: {"enabled": name in plan.phases} for name in PHASES},
        "checks": CHECKS,
        "operations": OPERATIONS,
        "cache": {"enabled": False},
        "warnings": False,
        "request-timeout": 20,
    }
    if plan.seconds is not None:
        settings["max-time"] = plan.seconds
    return SchemathesisConfig.from_dict(settings)


CHECKS: dict[str, Any] = {
    # A document cannot say what a signed cursor, an expression or a definition that may be published looks like,
    # which ETag is the present one, or that something must happen first: form is checked by it, meaning by 422.
    "positive_data_acceptance": {
        "expected-statuses": ["2xx", "401", "403", "404", "409", "412", "422", "428", "429"]
    },
    "negative_data_rejection": {
        "expected-statuses": ["401", "403", "404", "405", "409", "412", "413", "415", "422", "428", "429"]
    },
}
OPERATIONS: list[dict[str, Any]] = [
    # Providers choose the method: one documented operation stands for all of them.
    {"include-path": "/v1/hooks/{token}", "checks": {"allow_header_conformance": {"enabled": False}}},
]


def conduct(app: Any, admin_url: str, plan: Plan, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Sends what the plan says to the application and returns what was found."""
    outcome = Outcome()
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=configured(plan))
    with start_blocking_portal() as portal:
        behind = create_engine(admin_url, pool_size=1)
        people = People(app, admin_url, portal, behind)
        sign_in(schema, people)
        with listening(outcome, people):
            for event in from_schema(schema).execute():
                note(event, outcome, say)
        portal.call(behind.dispose)
    outcome.signed_up = people.signed_up
    return outcome


def sign_in(schema: Any, people: People) -> None:
    """Every request with a credential has that of an owner, and means an organization that exists."""
    turns = count()

    @schema.auth(refresh_interval=None)
    class AsOwner:
        def get(self, case: Any, context: Any) -> Owner:
            return people.owner()

        def set(self, case: Any, owner: Owner, context: Any) -> None:
            case.headers["Authorization"] = f"Bearer {owner.token}"
            if ORGANIZATION in case.headers:
                case.headers[ORGANIZATION] = owner.organization_id
            if case.meta is None or not case.meta.generation.mode.is_positive:
                return
            if next(turns) % STRANGERS:
                name_rows(case, people)
            if _is_guarded(case):
                # What nobody can draw: the tag of what is there now. Without it no change would ever happen.
                tag = people.tag(case.formatted_path)
                if tag is not None:
                    case.headers[IF_MATCH] = tag


def name_rows(case: Any, people: People) -> None:
    """Puts rows into the path that are there and the owner's, where drawing would never hit one."""
    names = list(case.path_parameters or {})
    parts = people.subject(case.operation.definition.raw.get("operationId", "")) if names else {}
    for name in names:
        if name in parts and (name != "organization_id" or len(names) > 1):
            case.path_parameters[name] = parts[name]
        elif parts:
            case.path_parameters[name] = parts[""]


def _is_guarded(case: Any) -> bool:
    """Whether the operation changes what it names only as its caller saw it."""
    return any(each.name.lower() == "if-match" for each in case.operation.headers)


@contextmanager
def listening(outcome: Outcome, people: People) -> Iterator[None]:
    """Counts every answer, whichever phase or check asked for it."""

    @schemathesis.hook
    def after_call(context: Any, case: Any, response: Any) -> None:
        status = response.status_code
        outcome.statuses[status] += 1
        outcome.by_operation.setdefault(case.operation.label, Counter())[status] += 1
        people.answered(status)

    try:
        yield
    finally:
        schemathesis.hooks.unregister(after_call)


def note(event: Any, outcome: Outcome, say: Callable[[str], None]) -> None:
    if isinstance(event, events.PhaseFinished):
        say(f"{event.phase.name.value}: {event.status.value}, {outcome.requests} requests so far")
    elif isinstance(event, events.NonFatalError):
        outcome.errors.append(f"{event.label}: {event.info.format()}")
    elif isinstance(event, events.ScenarioFinished):
        for finding in found(event.recorder):
            outcome.findings.setdefault(finding.kind, finding)


def found(recorder: Any) -> Iterator[Finding]:
    for checks in recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                yield Finding(
                    failure.operation or recorder.label,
                    failure.title,
                    failure.message,
                    check.failure_info.code_sample,
                )
