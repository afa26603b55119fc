"""Identifiers that mean the same on every floor."""

from dataclasses import dataclass
from uuid import UUID, uuid5

#: Root of every id derived from an effect key: the same step occurrence always derives the same id.
_DERIVED = UUID("5d1f5b0e-9d0a-4f3e-8a52-6f0f6b3d7a11")


@dataclass(frozen=True, slots=True)
class WorkflowId:
    """Temporal's workflow id, `{organization}/{kind}/{execution}`: the worker's only source of the tenant."""

    organization_id: UUID
    kind: str
    execution_id: UUID

    def __str__(self) -> str:
        return f"{self.organization_id}/{self.kind}/{self.execution_id}"

    @classmethod
    def parse(cls, text: str) -> "WorkflowId":
        """Raises ValueError when `text` is not one of our ids."""
        organization, kind, execution = text.split("/")
        return cls(UUID(organization), kind, UUID(execution))


def occurrence_name(pointer: str, visit: int) -> str:
    """One entry into a step, unique within its execution; also the Temporal activity id."""
    return f"{pointer}#{visit}"


def effect_key(execution_id: UUID, occurrence: str) -> str:
    """The idempotency key of everything this occurrence does, stable across retries and lost workers."""
    return f"{execution_id}{occurrence}"


def derived_id(key: str) -> UUID:
    """The row id of something an occurrence creates: repeating the occurrence finds the same row."""
    return uuid5(_DERIVED, key)
