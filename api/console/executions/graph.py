"""The execution drawn: its definition as a graph, with how far each step has come."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncConnection

from api.choosing import chosen, worked_out
from api.console.executions.head import run_head
from api.console.frame.shell import PageRoute, Visitor, identifier
from db.stepstatus import step_statuses
from domain.definitions.graph import Status, draw, lay_out, positioned, project
from domain.definitions.outline import Step, outline
from domain.errors import NotFound
from domain.permissions import Permission
from domain.waterfall.rows import DEEPEST

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/executions/{id}/graph")
async def graph_page(visitor: Visitor, id: str) -> Response:
    visitor.require(Permission.EXECUTIONS_READ, Permission.WORKFLOWS_READ)
    here = identifier(id)
    async with visitor.transaction() as tx:
        head = await run_head(visitor, tx, here)
        statuses = await _statuses(tx, here)
        workflow = await _workflow(tx, head)
    drawing, steps = None, []
    if workflow is not None:
        drawing, steps = await worked_out(_drawn, workflow, statuses)
    return visitor.render(
        "executions/execution_graph.html",
        **head,
        now=visitor.parts.clock(),
        drawing=None if drawing is None else Markup(drawing),  # noqa: S704  # `draw` escapes all it is given
        steps=steps,
    )


async def _statuses(tx: AsyncConnection, id: UUID) -> dict[str, Status]:
    return {row["pointer"]: Status(row["status"], row["visits"]) for row in await step_statuses(tx, id)}


async def _workflow(tx: AsyncConnection, head: dict[str, Any]) -> Any:
    """None for a workflow that only others see."""
    try:
        return await chosen(tx, head["execution"]["workflow_id"], head["view"].version)
    except NotFound:
        return None


def _drawn(workflow: Any, statuses: dict[str, Status]) -> tuple[str, list[dict[str, Any]]]:
    """The drawing, and the same in words: every step with its status, in the order written."""
    graph = project(workflow.definition, workflow.title, calls=workflow.calls)
    laid = lay_out(graph, statuses)
    told = list(_told(outline(workflow.definition), statuses, 0))
    return draw(positioned(laid, workflow.layout), statuses, with_style=False), told


def _told(steps: Sequence[Step], statuses: dict[str, Status], depth: int) -> Iterator[dict[str, Any]]:
    for step in steps:
        status = statuses.get(step.pointer)
        yield {
            "name": step.name,
            "kind": step.kind,
            "pointer": step.pointer,
            "depth": min(depth, DEEPEST),
            "status": status,
        }
        for inner in step.lists.values():
            yield from _told(inner, statuses, depth + 1)
