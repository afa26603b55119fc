"""What kinds of executions are made of: where they play, and their steps in short."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
from sqlalchemy import select

from db.executions import WorkflowExecution
from db.session import Access, Role
from db.tenants import PLATFORM
from domain.processes import Process
from tests.workflows.engine import Engine
from tests.workflows.mail import Mailbox


@dataclass
class Scene(Engine):
    """The engine with a mailbox, and a second person who may decide tasks."""

    second: httpx2.AsyncClient
    box: Mailbox

    async def of(self, process: Process) -> str:
        """The latest execution of a process of ours, here or in the platform's organization."""
        ends = time.monotonic() + 20
        latest = (
            select(WorkflowExecution.id)
            .where(WorkflowExecution.kind == process.kind)
            .order_by(WorkflowExecution.created_at.desc())
            .limit(1)
        )
        while time.monotonic() < ends:
            for organization_id in (self.organization_id, PLATFORM):
                async with self.parts.database.transaction(Access(Role.WORKER, organization_id)) as tx:
                    found = (await tx.execute(latest)).scalar()
                if found is not None:
                    return str(found)
            await asyncio.sleep(0.05)
        raise AssertionError(f"nobody began {process.name}")


#: What happens to it meanwhile; answers the id of the execution whose histories are kept, if it is another one.
Play = Callable[[Scene, str], Awaitable[str | None]]
#: How it begins, if nobody starts it over the API; answers its id.
Begin = Callable[[Scene, "Kind"], Awaitable[str]]


@dataclass(frozen=True)
class Kind:
    do: list[dict[str, Any]] = field(default_factory=list)
    play: Play | None = None
    input: dict[str, Any] = field(default_factory=dict)
    #: Parts of the document beside `do`.
    document: dict[str, Any] = field(default_factory=dict)
    #: Published beforehand, under their names.
    others: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    begin: Begin | None = None
    ends: str = "completed"
    #: Runs in the platform's organization.
    is_platform: bool = False


ASK: dict[str, Any] = {"call": "approve", "with": {"title": "Go on?"}}
NAP: dict[str, Any] = {"wait": {"milliseconds": 50}}
NEVER: dict[str, Any] = {"wait": {"hours": 1}}
OOPS: dict[str, Any] = {"set": '${ 1 + "a" }'}


def line(text: str) -> dict[str, Any]:
    return {"call": "data.template", "with": {"text": text}}


def sure(condition: str) -> dict[str, Any]:
    """Rests if the condition holds: a replay in which it does not has a timer less, and is red.

    What a history keeps of a step's data is the answer it got, not what was made of it.
    """
    return {"if": f"${{ {condition} }}", **NAP}


def listen(type: str, **more: Any) -> dict[str, Any]:
    return {"listen": {"to": {"one": {"with": {"type": type}}}}, **more}


def fork(*branches: dict[str, Any], compete: bool = False) -> dict[str, Any]:
    named = [{f"branch {number}": branch} for number, branch in enumerate(branches, 1)]
    return {"fork": {"branches": named, "compete": compete}}


def guarded(step: dict[str, Any], **catch: Any) -> dict[str, Any]:
    return {"try": [{"inner": step}], "catch": catch or {"do": [{"caught": {"set": "${ $error.status }"}}]}}


def within(milliseconds: int, step: dict[str, Any]) -> dict[str, Any]:
    return {**step, "timeout": {"after": {"milliseconds": milliseconds}}}


def undoing(step: dict[str, Any], undo: dict[str, Any]) -> dict[str, Any]:
    return {**step, "metadata": {"compensate": undo}}
