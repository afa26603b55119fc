"""The list of executions: filters that live in the address, and what can be done with several at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import RowMapping

from api.console.executions.rows import row_of
from api.console.frame.shell import PageRoute, Sent, Visit, Visitor, identifier
from api.errors import status_of
from api.pagination import Pager, Paging
from db.runs import WORKFLOW, RunFilters, Runs
from domain.errors import DomainError, Invalid, NotFound, Problem
from domain.executions import ExecutionStatus, TriggerType
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)

#: As many workflows can be chosen from; of more, the address still takes any.
MOST_WORKFLOWS: Final = 200
#: The quick choices above the list; each is one or several statuses.
CHOICES: Final = (
    ("All", ()),
    ("Running", ("queued", "running")),
    ("Waiting", ("waiting", "paused")),
    ("Completed", ("completed",)),
    ("Failed", ("failed", "timed_out", "terminated")),
    ("Cancelled", ("cancelled",)),
)
DONE: Final = {
    "cancelling": "The chosen executions were asked to stop.",
    "nothing": "Nothing was chosen, so nothing was done: tick the executions first.",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters as they stand in the address and in the form."""

    workflow_id: str = ""
    status: Sequence[str] = ()
    trigger: str = ""
    since: str = ""
    until: str = ""
    parent_id: str = ""
    all_kinds: str = ""

    @classmethod
    def of(cls, form: Sent) -> "Wanted":
        """From the hidden fields of a form."""
        return cls(
            form.get("workflow_id", ""),
            tuple(form.getlist("status")),
            form.get("trigger", ""),
            form.get("from", ""),
            form.get("to", ""),
            form.get("parent_id", ""),
            form.get("all_kinds", ""),
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        single = {
            "workflow_id": self.workflow_id,
            "trigger": self.trigger,
            "from": self.since,
            "to": self.until,
            "parent_id": self.parent_id,
            "all_kinds": self.all_kinds,
        }
        return [("status", each) for each in self.status] + [pair for pair in single.items() if pair[1]]

    def address(self, path: str = "/executions", **more: str) -> str:
        pairs = [*self.pairs, *more.items()]
        return f"{path}?{urlencode(pairs)}" if pairs else path

    def with_statuses(self, statuses: Sequence[str]) -> str:
        pairs = [pair for pair in self.pairs if pair[0] != "status"]
        pairs = [*(("status", each) for each in statuses), *pairs]
        return f"/executions?{urlencode(pairs)}" if pairs else "/executions"

    @property
    def is_narrow(self) -> bool:
        return bool(self.pairs)

    def filters(self, visitor: Visit) -> RunFilters:
        """Days are those of the organization; `to` includes its day. Raises Invalid, NotFound."""
        unknown = [each for each in self.status if each not in set(ExecutionStatus)]
        if unknown or (self.trigger and self.trigger not in set(TriggerType)):
            word = (unknown or [self.trigger])[0]
            raise Invalid(f"Nothing is called {word[:40]!r} here; choose from the filters.")
        until = self._day(visitor, "to", self.until)
        return RunFilters(
            workflow_id=identifier(self.workflow_id) if self.workflow_id else None,
            statuses=tuple(self.status),
            trigger=self.trigger or None,
            created_from=self._day(visitor, "from", self.since),
            created_to=None if until is None else until + timedelta(days=1),
            parent_id=identifier(self.parent_id) if self.parent_id else None,
            kind=None if self.all_kinds or self.parent_id else WORKFLOW,
        )

    def _day(self, visitor: Visit, name: str, text: str) -> datetime | None:
        if not text:
            return None
        try:
            return datetime.combine(date.fromisoformat(text), time(), visitor.zone)
        except ValueError:
            message = "This is no day."
            raise Invalid(
                "The list cannot be narrowed to this day.",
                problems=[Problem(f"query/{name}", message, "Write it as 2026-01-31.")],
            ) from None


async def wanted(
    workflow_id: str = "",
    status: Annotated[list[str], Query()] = [],  # noqa: B006
    trigger: str = "",
    since: Annotated[str, Query(alias="from")] = "",
    until: Annotated[str, Query(alias="to")] = "",
    parent_id: str = "",
    all_kinds: str = "",
) -> Wanted:
    return Wanted(workflow_id, tuple(dict.fromkeys(status)), trigger, since, until, parent_id, all_kinds)


Asked = Annotated[Wanted, Depends(wanted)]


@router.get("/executions")
async def executions_page(visitor: Visitor, paging: Paging, asked: Asked, done: str = "") -> Response:
    return await listed(visitor, paging, asked, notice=DONE.get(done))


async def listed(
    visitor: Visit,
    paging: Pager,
    asked: Wanted,
    *,
    notice: str | None = None,
    problem: DomainError | None = None,
) -> Response:
    """The page of the list. What is wrong with a filter is said on it, and nothing is listed."""
    visitor.require(Permission.EXECUTIONS_READ)
    rows: Sequence[RowMapping] = ()
    async with visitor.transaction() as tx:
        runs = Runs(tx)
        workflows = await runs.workflows(MOST_WORKFLOWS)
        try:
            rows = await runs.page(asked.filters(visitor), before=paging.before, limit=paging.fetch)
        except (Invalid, NotFound) as refusal:
            problem = problem or refusal
    page = paging.page(rows, lambda row: (row["created_at"], row["id"]), lambda row: row)
    now = visitor.parts.clock()
    next_cursor = page["next_cursor"]
    return visitor.render(
        "executions/executions.html",
        200 if problem is None else status_of(problem),
        rows=[row_of(row, visitor, now) for row in page["items"]],
        is_live=any(row["completed_at"] is None for row in page["items"]) or paging.before is None,
        asked=asked,
        choices=CHOICES,
        statuses=list(ExecutionStatus),
        triggers=list(TriggerType),
        workflows=workflows,
        next=asked.address(cursor=next_cursor) if next_cursor else None,
        is_first=paging.before is None,
        may_cancel=visitor.may(Permission.EXECUTIONS_CANCEL),
        may_rerun=visitor.may(Permission.EXECUTIONS_START),
        notice=notice,
        problem=problem,
    )
