"""The draft of a workflow as text: read and written as its author wrote it, comments and all."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from api.auth import Caller, require
from api.choosing import worked_out
from api.collaborators import Collaborators, Parts
from api.etags import ExpectedRevision
from api.fields import Body
from api.idempotency import Answer
from api.previews import LONGEST, Located, located
from api.revisions import tagged
from api.workflows import WorkflowChange, values_of, write
from db.definitions import Workflows
from db.secrets import Secrets
from domain.definitions.drafts import text_of, written_text
from domain.definitions.drafts import values_of as said_by
from domain.definitions.examining import examine
from domain.errors import Invalid, Problem
from domain.permissions import Permission

router = APIRouter(tags=["workflows"])
Reader = Annotated[Caller, Depends(require(Permission.WORKFLOWS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.WORKFLOWS_WRITE))]
PATH = "/v1/workflows/{id}/source"


class SourceView(BaseModel):
    id: UUID
    name: str
    revision: int
    text: str
    is_written: bool = Field(description="Its author's own text; else one that was made of the draft.")


class SourceChange(Body):
    text: Annotated[str, StringConstraints(max_length=LONGEST)]


class SourceSaved(SourceView):
    """A draft may be stored with problems; publishing it may not."""

    valid: bool
    problems: list[Located]


@router.get(PATH, operation_id="workflows_source", response_model=SourceView)
async def get_source(caller: Reader, parts: Parts, id: UUID) -> Response:
    """YAML, unless it was written as JSON: the bare document, or a whole workflow where more belongs to it."""
    async with parts.database.transaction(caller.access) as tx:
        row = await Workflows(tx).get(id)
    shown = {**row, **await worked_out(_shown, dict(row))}
    return tagged(Answer(200, SourceView.model_validate(shown).model_dump(mode="json")))


@router.put(PATH, operation_id="workflows_write_source", response_model=SourceSaved)
async def write_source(
    caller: Writer, parts: Parts, id: UUID, seen: ExpectedRevision, body: SourceChange
) -> Response:
    """Stores the text as the draft; 422 with lines for what is no workflow, problems in the answer for the rest."""
    saved = await save_source(caller, parts, id, seen, body.text)
    return tagged(Answer(200, SourceSaved.model_validate(saved).model_dump(mode="json")))


async def save_source(caller: Caller, parts: Collaborators, id: UUID, seen: int, text: str) -> dict[str, Any]:
    """The fields of SourceSaved. Raises Invalid, Stale, NotFound and WrongStatus."""
    async with parts.database.transaction(caller.access) as tx:
        layout = (await Workflows(tx).get(id))["layout"]
        known = await Secrets(tx).names()
    said = _checked(await worked_out(said_by, text, layout))
    row = await write(caller, parts, id, seen, await values_of(said))
    found = await worked_out(lambda: examine(text, catalogue=parts.catalogue, secrets=known))
    problems = [located(each) for each in found.findings]
    is_written = await worked_out(lambda: written_text(dict(row)) == text)
    return {**row, "text": text, "is_written": is_written, "valid": found.is_sound, "problems": problems}


def _shown(draft: dict[str, Any]) -> dict[str, Any]:
    written = written_text(draft)
    return {"text": text_of(draft) if written is None else written, "is_written": written is not None}


def _checked(said: dict[str, Any]) -> WorkflowChange:
    """What is stored is bounded, whoever sends it."""
    try:
        return WorkflowChange.model_validate(said)
    except ValidationError as error:
        problems = [
            Problem("#/text", f"`{'.'.join(map(str, each['loc']))}`: {each['msg']}.")
            for each in error.errors()[:20]
        ]
        raise Invalid("This text cannot be stored.", problems=problems) from None
