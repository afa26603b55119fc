"""The product's own processes: definitions that come with a release and run like everybody else's.

A process is a stored workflow that nobody edits (`workflows.process` names it). `db.processes` writes its row and
version into an organization when it is first started there; the interpreter, the mirror, cancelling and the pages
treat its executions like all others. Its steps may call internal actions (`ActionSpec.is_internal`).

One file per family of processes; each is a `Process` constant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: `document.namespace` of every process; no organization can have this slug.
NAMESPACE: Final = "perdure"


@dataclass(frozen=True, slots=True)
class Process:
    """`name` is the document's, `kind` what `workflow_executions.kind` and Temporal's ids say (snake_case)."""

    name: str
    kind: str
    title: str
    document: Mapping[str, Any]
