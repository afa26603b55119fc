"""The page of one execution: its steps as a waterfall on the left, the chosen step or the whole on the right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy import RowMapping

from api.console.executions.head import run_head
from api.console.frame.shell import PageRoute, Visit, Visitor, identifier
from api.errors import status_of
from db.definitions import Versions
from db.runs import RunFilters, Runs
from domain.attempts import Attempt, attempts_of
from domain.definitions.graph import icons
from domain.errors import DomainError, NotFound
from domain.permissions import Permission
from domain.waterfall import Shape, Step, brief, shape_of, waterfall

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PATH: Final = "/executions/{id}"
#: The latest steps of an execution that are shown; the API has all.
MOST_STEPS: Final = 5_000
#: The newest executions that repeat this one, as far as they are named.
MOST_RERUNS: Final = 20
DONE: Final = {
    "cancelling": "The execution was asked to stop; it ends as soon as what is under way allows.",
    "cancelled": "The execution was cancelled before it began.",
    "terminating": "The execution is ended at once, without compensation.",
    "pausing": "The execution was asked to hold: nothing new begins, what is under way ends.",
    "resuming": "The execution goes on from where it stood.",
    "signalled": "The event was sent. A step that waits for its type hears it; until then it is kept.",
    "rerun": "This execution repeats another one from a step on.",
    "started": "The execution was accepted and will run exactly once.",
}
#: What bars mean, for the legend.
LEGEND: Final = (
    (Shape.WORK, "Work"),
    (Shape.WAIT, "Waits for time or an event"),
    (Shape.PERSON, "Waits for a person"),
    (Shape.CHILD, "Another execution"),
    (Shape.GROUP, "Holds other steps"),
    (Shape.MOMENT, "Takes no time"),
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One entry into a step as the right side shows it."""

    row: RowMapping
    step: Step
    entries: Sequence[RowMapping]
    task: RowMapping | None
    child: RowMapping | None
    #: How the definition writes the step; None for whoever may not see it, and where nothing stands there.
    written: Any = None

    @property
    def took(self) -> str:
        if self.step.started is None or self.step.completed is None:
            return ""
        return brief(self.step.completed - self.step.started)

    @property
    def attempts(self) -> Sequence[Attempt]:
        return attempts_of(self.row)

    @property
    def shape(self) -> Shape:
        return shape_of(self.step)


@router.get(PATH)
async def run_page(
    visitor: Visitor,
    id: str,
    step: Annotated[str, Query(max_length=1000)] = "",
    open: Annotated[list[str], Query(max_length=50)] = [],  # noqa: B006
    at: Annotated[str, Query(max_length=1000)] = "",
    done: str = "",
) -> Response:
    """`step` is an occurrence; `at` a step of the definition, of which the latest entry is meant."""
    return await shown(visitor, identifier(id), step, open, at=at, notice=DONE.get(done))


async def shown(
    visitor: Visit,
    id: UUID,
    step: str = "",
    opened: Sequence[str] = (),
    *,
    at: str = "",
    notice: str | None = None,
    problem: DomainError | None = None,
    typed: Mapping[str, str] = {},
) -> Response:
    """The page, perhaps with why something asked of it was not done, and what was typed for that.

    Raises NotFound, Forbidden.
    """
    visitor.require(Permission.EXECUTIONS_READ)
    now = visitor.parts.clock()
    async with visitor.transaction() as tx:
        runs = Runs(tx)
        head = await run_head(visitor, tx, id)
        execution = head["execution"]
        rows, earlier = await runs.steps(id, MOST_STEPS)
        step = step or (await runs.latest_at(id, at) if at else "") or ""
        chosen = await _chosen(runs, id, step) if step else None
        if chosen is not None and visitor.may(Permission.WORKFLOWS_READ):
            version = await Versions(tx).find(execution["workflow_version_id"])
            chosen = replace(chosen, written=_written(version["document"], chosen.step.pointer))
        place = await _place(runs, id, execution["error"])
        reruns = await runs.reruns_of(id, MOST_RERUNS)
        has_begun_others = bool(await runs.page(RunFilters(parent_id=id), limit=1))
    falls = waterfall(
        [Step.of(row) for row in rows],
        begins=execution["started_at"] or execution["created_at"],
        now=execution["completed_at"] or now,
        is_over=execution["completed_at"] is not None,
        opened=opened,
        selected=step or None,
    )
    return visitor.render(
        "executions/execution.html",
        200 if problem is None else status_of(problem),
        **{**head, "typed": typed},
        now=now,
        falls=falls,
        earlier=earlier,
        chosen=chosen,
        selected=step,
        error_step=place,
        reruns=reruns,
        has_begun_others=has_begun_others,
        link=_Links(id, step, opened),
        legend=LEGEND,
        kinds=icons.KINDS,
        notice=notice,
        problem=problem,
    )


class _Links:
    """Addresses of this page with another step chosen, or another fold opened."""

    def __init__(self, id: UUID, step: str, opened: Sequence[str]) -> None:
        self._path = f"/executions/{id}"
        self._step = step
        self._opened = list(opened)

    def step(self, occurrence: str) -> str:
        return self._to(occurrence, self._opened)

    def unfolded(self, key: str) -> str:
        return self._to(self._step, [*self._opened, key])

    @property
    def folded(self) -> str | None:
        """All folds closed again; None where none is open."""
        return self._to(self._step, []) if self._opened else None

    @property
    def whole(self) -> str:
        return self._to("", self._opened)

    def _to(self, step: str, opened: Sequence[str]) -> str:
        pairs = ([("step", step)] if step else []) + [("open", key) for key in dict.fromkeys(opened)]
        return f"{self._path}?{urlencode(pairs)}" if pairs else self._path


async def _chosen(runs: Runs, id: UUID, occurrence: str) -> Chosen | None:
    """None for what is no step of it, such as one that a reset took back."""
    try:
        row = await runs.step(id, occurrence)
    except NotFound:
        return None
    return Chosen(
        row,
        Step.of(row),
        await runs.visits(id, row["pointer"], row["visit"]),
        await runs.task_of(id, occurrence),
        await runs.child_of(id, occurrence) if row["kind"] == "run" else None,
    )


def _written(document: Any, pointer: str) -> Any:
    """What stands at a pointer (RFC 6901); None where it leads nowhere."""
    here = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(here, Mapping):
            here = here.get(name)
        elif isinstance(here, list) and name.isdecimal() and int(name) < len(here):
            here = here[int(name)]
        else:
            return None
    return here


async def _place(runs: Runs, id: UUID, error: Any) -> str | None:
    """The entry into the step that an error names."""
    pointer = error.get("instance") if isinstance(error, Mapping) else None
    return await runs.latest_at(id, pointer) if isinstance(pointer, str) else None
