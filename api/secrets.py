"""Tenants' secrets: set, listed by name and deleted; no answer ever holds a value."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Path, Response
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import RowMapping

from api.auth import Caller, require
from api.collaborators import Collaborators, Parts
from api.fields import Body
from db.activity import Activities, Activity
from db.sealed import place
from db.secrets import Secrets
from domain.errors import Conflict, Invalid, Problem
from domain.permissions import Permission
from domain.secrets import MAX_SECRETS, MAX_VALUE_BYTES, is_name

router = APIRouter(prefix="/v1/secrets", tags=["secrets"])
Reader = Annotated[Caller, Depends(require(Permission.SECRETS_READ))]
Writer = Annotated[Caller, Depends(require(Permission.SECRETS_WRITE))]
Name = Annotated[str, Path(max_length=100, description="What definitions read as `$secrets.<name>`.")]


class TooManySecrets(Conflict):
    """Your organization has as many secrets as it may have; delete those that nothing uses."""

    code = "too_many_secrets"


def _bounded(value: str) -> str:
    size = len(value.encode())
    if size > MAX_VALUE_BYTES:
        raise PydanticCustomError(
            "secret_too_large",
            "A secret has at most {limit} bytes, this one has {size}",
            {"limit": MAX_VALUE_BYTES, "size": size},
        )
    return value


class SecretValue(Body):
    value: Annotated[str, AfterValidator(_bounded)] = Field(
        min_length=1, json_schema_extra={"format": "password", "writeOnly": True}
    )


class SecretView(BaseModel):
    name: str
    version: int = Field(description="1 for the first value, one more for every value since.")
    created_by: UUID
    created_at: datetime
    updated_by: UUID = Field(description="Who set the value in use.")
    updated_at: datetime


class SecretList(BaseModel):
    items: list[SecretView]


@router.get("", operation_id="secrets_list", response_model=SecretList)
async def list_secrets(caller: Reader, parts: Parts) -> dict[str, Any]:
    """Every secret by name: its version, when and by whom it was set. Values cannot be read back."""
    async with parts.database.transaction(caller.access) as tx:
        return {"items": [dict(row) for row in await Secrets(tx).all()]}


@router.put(
    "/{name}",
    operation_id="secrets_put",
    response_model=SecretView,
    responses={201: {"model": SecretView, "description": "The secret is new."}},
)
async def put_secret(caller: Writer, parts: Parts, name: Name, body: SecretValue, response: Response) -> Any:
    """Set the value; steps that begin from now on use it. The value before it is destroyed."""
    row = await set_secret(parts, caller, name, body.value)
    response.status_code = 201 if row["version"] == 1 else 200
    return dict(row)


@router.delete("/{name}", operation_id="secrets_remove", status_code=204)
async def remove_secret(caller: Writer, parts: Parts, name: Name) -> None:
    """Steps that need it fail from now on, and say which secret is not set."""
    await forget_secret(parts, caller, name)


async def set_secret(parts: Collaborators, caller: Caller, name: str, value: str) -> RowMapping:
    """What the API and the console do alike. Raises Invalid, TooManySecrets."""
    if not is_name(name):
        message = "The name of a secret has letters, digits and _, at most 64, and begins with no digit."
        mend = "Choose one like stripe_key, so that definitions can read `$secrets.stripe_key`."
        raise Invalid(problems=[Problem("path/name", message, mend)])
    version_id = uuid4()
    where = place("secret_versions", "value", version_id)
    # Sealed before the transaction begins: a key that must be loaded needs a connection of its own.
    sealed = await parts.keys.seal(caller.organization, value.encode(), where)
    async with parts.database.transaction(caller.access) as tx:
        secrets = Secrets(tx)
        row = await secrets.put(caller.organization, name, version_id, sealed, caller.user_id)
        if row["version"] == 1 and await secrets.count() > MAX_SECRETS:
            raise TooManySecrets
        await Activities(tx).note([_activity(caller, "secret.set", row)])
    return row


async def forget_secret(parts: Collaborators, caller: Caller, name: str) -> None:
    """Raises NotFound."""
    async with parts.database.transaction(caller.access) as tx:
        row = await Secrets(tx).remove(name)
        await Activities(tx).note([_activity(caller, "secret.delete", row)])


def _activity(caller: Caller, action: str, row: RowMapping) -> Activity:
    return Activity(
        organization_id=caller.organization,
        actor_type=caller.actor,
        user_id=caller.user_id,
        action=action,
        resource="secrets",
        resource_id=str(row["id"]),
        metadata={"name": row["name"], "version": row["version"]},
    )
