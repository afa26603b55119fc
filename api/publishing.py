"""From draft to version and back out of service: validate, publish, pause, resume, archive."""

import asyncio
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, Field
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.definitions import Definition, ProblemView, problems_in, shown
from api.fields import Body, DefinitionList, DefinitionObject
from api.functions import frozen, gather
from api.idempotency import Answer, Idempotent
from api.pagination import Paging
from api.triggerviews import compile_triggers
from db.definitions import Versions, Workflows
from db.secrets import Secrets
from db.tenants import Organizations
from db.triggers import Triggers
from domain.definitions import lifecycle
from domain.definitions.functions import Fetched, addresses
from domain.definitions.lifecycle import DefinitionStatus, require_move, require_open
from domain.definitions.publishing import Published, publish
from domain.errors import Conflict
from domain.permissions import Permission

router = APIRouter(tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
Publisher = Annotated[Caller, Depends(require(Permission.WORKFLOWS_PUBLISH))]
PATH = "/v1/workflows"
Number = Annotated[int, Path(ge=1, lt=2**31)]


class Candidate(Body):
    definition: Definition
    triggers: DefinitionList = Field(default_factory=list)
    actions: DefinitionList = Field(default_factory=list)
    variables: DefinitionObject = Field(default_factory=dict)


class Verdict(BaseModel):
    valid: bool = Field(description="Whether it could be published; warnings do not hinder.")
    problems: list[ProblemView]


class VersionSummary(BaseModel):
    id: UUID
    workflow_id: UUID
    number: int
    sha256: str
    published_by: UUID
    created_at: datetime


class PublishedVersion(VersionSummary):
    warnings: list[ProblemView] = Field(description="What was published although it deserves a second look.")


class FrozenFunction(BaseModel):
    """The text that stood at the address when the version was published, and runs in it for good."""

    name: str
    address: str
    sha256: str


class VersionView(VersionSummary):
    document: dict[str, Any]
    functions: list[FrozenFunction] = Field(description="Functions that the document names by address.")


class VersionPage(BaseModel):
    items: list[VersionSummary]
    next_cursor: str | None


class StatusView(BaseModel):
    id: UUID
    status: DefinitionStatus
    revision: int


@router.post(PATH + "/validate", operation_id="workflows_validate", response_model=Verdict)
async def validate_workflow(caller: Reader, parts: Parts, body: Candidate) -> Verdict:
    """Every problem at once, each with its place and mend; nothing is stored."""
    async with parts.database.transaction(caller.access) as tx:
        known = await Secrets(tx).names()
    problems = await problems_in(parts.catalogue, body.model_dump(), known)
    return Verdict(valid=all(each.severity != "error" for each in problems), problems=problems)


@router.post(
    PATH + "/{id}/publish",
    operation_id="workflows_publish",
    status_code=201,
    response_model=PublishedVersion,
    responses={200: {"model": PublishedVersion, "description": "Unchanged since the current version."}},
)
async def publish_workflow(caller: Publisher, parts: Parts, once: Idempotent, id: UUID) -> Response:
    """Freezes the draft as the next version, which new executions run from now on, and sets up its triggers.

    A trigger keeps its address and secrets as long as its name stays; one that is gone starts nothing any more.
    Functions that it calls by address or out of a catalog are fetched first, and frozen with it.
    """
    functions = await _fetched(parts, caller, id)

    async def freeze(tx: AsyncConnection) -> Answer[None]:
        workflow = await Workflows(tx).lock(id)
        require_open(workflow["status"])
        namespace = (await Organizations(tx).get(caller.organization))["slug"]
        published = await _published(parts, workflow, namespace, await Secrets(tx).names(), functions)
        await compile_triggers(tx, parts, caller.organization, id, published.triggers)
        warnings = [shown(problem, None) for problem in published.warnings]
        current = await _current(tx, workflow)
        if current is not None and current["sha256"] == published.sha256:
            return Answer(200, _published_as(current, warnings))
        return Answer(201, _published_as(await _freeze(tx, workflow, published, caller), warnings))

    answer = await once.run(caller, freeze)
    response = answer.response()
    response.headers["Location"] = f"{PATH}/{id}/versions/{answer.body['number']}"
    return response


@router.get(PATH + "/{id}/versions", operation_id="workflows_versions", response_model=VersionPage)
async def list_versions(caller: Reader, parts: Parts, paging: Paging, id: UUID) -> Any:
    """Newest first."""
    async with parts.database.transaction(caller.access) as tx:
        await Workflows(tx).standing(id)
        rows = await Versions(tx).page(id, before=paging.before, limit=paging.fetch)
    return paging.page(rows, lambda row: (row["created_at"], row["id"]), dict)


@router.get(PATH + "/{id}/versions/{number}", operation_id="workflows_version", response_model=VersionView)
async def get_version(caller: Reader, parts: Parts, id: UUID, number: Number) -> Any:
    async with parts.database.transaction(caller.access) as tx:
        await Workflows(tx).standing(id)
        version = await Versions(tx).get(id, number)
    return {**version, "functions": frozen(version["compiled"])}


@router.post(PATH + "/{id}/pause", operation_id="workflows_pause", response_model=StatusView)
async def pause_workflow(caller: Publisher, once: Idempotent, id: UUID) -> Response:
    """New executions are refused until it is resumed; those under way go on."""
    return await _move(caller, once, id, DefinitionStatus.PAUSED)


@router.post(PATH + "/{id}/resume", operation_id="workflows_resume", response_model=StatusView)
async def resume_workflow(caller: Publisher, once: Idempotent, id: UUID) -> Response:
    return await _move(caller, once, id, DefinitionStatus.ACTIVE)


@router.post(PATH + "/{id}/archive", operation_id="workflows_archive", response_model=StatusView)
async def archive_workflow(caller: Publisher, once: Idempotent, id: UUID) -> Response:
    """For good: it can be read, but neither changed nor started. Executions under way go on."""
    return await _move(caller, once, id, DefinitionStatus.ARCHIVED)


async def _published(
    parts: Collaborators,
    workflow: RowMapping,
    namespace: str,
    secrets: frozenset[str],
    functions: dict[str, Fetched] | None,
) -> Published:
    """Raises Invalid with every problem, Conflict for a draft that calls other functions than were fetched for it."""
    if functions is not None and not functions.keys() >= set(addresses(workflow["definition"])):
        raise Conflict("The draft was changed while its functions were fetched; publish it again.")
    return await asyncio.to_thread(
        publish,
        workflow["definition"],
        name=workflow["name"],
        namespace=namespace,
        triggers=workflow["triggers"],
        actions=workflow["actions"],
        variables=workflow["variables"],
        catalogue=parts.catalogue,
        secrets=secrets,
        functions=functions,
    )


async def _fetched(parts: Collaborators, caller: Caller, id: UUID) -> dict[str, Fetched] | None:
    """What the draft calls and does not hold itself; None for a draft that cannot be published as it stands."""
    async with parts.database.transaction(caller.access) as tx:
        workflow = await Workflows(tx).get(id)
    if not addresses(workflow["definition"]):
        return {}
    problems = await problems_in(parts.catalogue, dict(workflow))
    if any(problem.severity == "error" for problem in problems):
        return None
    return await gather(parts.functions, caller.organization, workflow["definition"])


async def _current(tx: AsyncConnection, workflow: RowMapping) -> RowMapping | None:
    id = workflow["published_version_id"]
    return None if id is None else await Versions(tx).summary(id)


async def _freeze(
    tx: AsyncConnection, workflow: RowMapping, published: Published, caller: Caller
) -> RowMapping:
    """The workflow's row is locked, so numbers have no gaps and no twins."""
    number = workflow["version"]
    version = await Versions(tx).insert(
        {
            "id": uuid4(),
            "organization_id": caller.organization,
            "workflow_id": workflow["id"],
            "number": number,
            "document": published.document,
            "compiled": published.compiled,
            "sha256": published.sha256,
            "published_by": caller.user_id,
        }
    )
    status = lifecycle.published(workflow["status"])
    await Workflows(tx).change(
        workflow["id"], {"version": number + 1, "published_version_id": version["id"], "status": status}
    )
    return version


async def _move(caller: Caller, once: Idempotent, id: UUID, to: DefinitionStatus) -> Response:
    async def move(tx: AsyncConnection) -> Answer[None]:
        workflow = await Workflows(tx).lock(id)
        require_move(workflow["status"], to)
        if workflow["status"] != to:
            workflow = await Workflows(tx).change(id, {"status": to})
            if to is DefinitionStatus.ARCHIVED:
                await Triggers(tx).deafen(id)  # for good, so that they keep no place from others
        return Answer(200, StatusView.model_validate(dict(workflow)).model_dump(mode="json"))

    return (await once.run(caller, move)).response()


def _published_as(row: RowMapping, warnings: list[ProblemView]) -> dict[str, Any]:
    return PublishedVersion.model_validate({**row, "warnings": warnings}).model_dump(mode="json")
