"""Repeating an execution from a step on: the page shows what would happen, its button confirms exactly that."""

from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import ValidationError

from api.console.frame.shell import PageRoute, Visit, Visitor, identifier
from api.errors import status_of
from api.idempotency import Once
from api.reruns import PlanView, RerunConfirmed, RerunFrom, plan_rerun, rerun_execution
from db.runs import Runs
from domain.actions import Effect
from domain.errors import Conflict, DomainError, Forbidden, Invalid
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PATH: Final = "/executions/{id}/rerun"
#: The latest entries into steps from which one can be chosen here; the run page leads to any.
MOST_CHOICES: Final = 300
#: What repeating a call does to the world.
EFFECTS: Final = {
    Effect.PURE: "Only reads or computes",
    Effect.IDEMPOTENT: "Repeating it changes nothing more",
    Effect.KEYED: "Happens again, under a key of its own",
    Effect.IRREVERSIBLE: "Happens again and cannot be undone",
}
#: Where the action says more than its effect, by its name.
ACTIONS: Final = {
    "approve": "Somebody is asked again",
    "ask": "Somebody is asked again",
    "workflow.run": "The other workflow runs again",
    "workflow.start": "The other workflow runs again",
}


@router.get(PATH)
async def rerun_page(
    visitor: Visitor, id: str, step: Annotated[str, Query(alias="from", max_length=500)] = ""
) -> Response:
    visitor.require(Permission.EXECUTIONS_READ, Permission.EXECUTIONS_START)
    return await _page(visitor, identifier(id), step)


@router.post(PATH)
async def rerun(visitor: Visitor, id: str) -> Response:
    visitor.require(Permission.EXECUTIONS_READ, Permission.EXECUTIONS_START)
    here, form = identifier(id), await visitor.form()
    step = form.get("from", "")
    try:
        given = {
            "from": step or None,
            "confirm": form.get("confirm", ""),
            "confirm_irreversible": form.get("irreversible") == "yes",
        }
        body = RerunConfirmed.model_validate(given)
    except ValidationError:
        return await _page(visitor, here, step, Invalid("Nothing was started: look at the plan first."))
    # The digest is the key: once this has started, it fits no plan any more.
    once = Once(visitor.parts, visitor.request, None)
    try:
        answer = await rerun_execution(visitor.caller, visitor.parts, once, here, body)
    except (Conflict, Invalid, Forbidden) as refusal:
        return await _page(visitor, here, step, refusal)
    return visitor.to(f"/executions/{orjson.loads(answer.body)['id']}", done="rerun")


async def _page(visitor: Visit, id: UUID, step: str, problem: DomainError | None = None) -> Response:
    async with visitor.transaction() as tx:
        runs = Runs(tx)
        execution = await runs.named(id)
        choices, _ = await runs.steps(id, MOST_CHOICES)
    plan: PlanView | None = None
    try:
        plan = await plan_rerun(
            visitor.caller, visitor.parts, id, RerunFrom.model_validate({"from": step or None})
        )
    except (Conflict, Invalid) as refusal:
        problem = problem or refusal
    return visitor.render(
        "executions/rerun.html",
        200 if problem is None else status_of(problem),
        execution=execution,
        name=execution["workflow"] or "A workflow you cannot see",
        plan=plan,
        choices=[
            _choice(row)
            for row in choices
            if row["status"] != "skipped" and "/metadata/" not in row["pointer"]
        ],
        effects=EFFECTS,
        actions=ACTIONS,
        problem=problem,
    )


def _choice(row: Any) -> dict[str, str]:
    entry = f", entry {row['visit']}" if row["visit"] > 1 else ""
    return {"occurrence": row["occurrence"], "word": f"{row['name']}{entry} ({row['status']})"}
