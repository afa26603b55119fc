"""What the API works with; `workers/wiring.py` hands it in, tests hand in their own real parts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from fastapi import Depends, Request

from api.turns import Turns
from db.outbox import OutboxEntry
from db.processes import Processes
from db.session import Database
from domain.actions import Catalogue
from domain.blobs import BlobStore, NoBlobs
from domain.definitions.functions import FunctionSource, NoFunctions
from domain.keys import SearchableKeyRing


@dataclass(frozen=True, slots=True)
class Closed:
    """An execution's row is terminal; here it is, if it was closed by this very process."""

    row: Mapping[str, Any] | None


class Dispatcher(Protocol):
    """Carries committed outbox entries to the engine; the relay repeats whatever it could not deliver."""

    async def dispatch(self, entry: OutboxEntry) -> None:
        """Called after commit; never raises for an unreachable engine."""

    async def settled(self, workflow_id: str) -> None:
        """Returns when the execution closed or came to rest in this process, and after a moment in any case."""

    async def finished(self, workflow_id: str, timeout: float) -> Closed | None:  # noqa: ASYNC109  it ends the wait
        """Not None when it was heard within `timeout` seconds that the execution closed; None proves nothing."""


class SealedPayloads(Protocol):
    """Temporal's payloads in the JSON form of its UI, as the workers seal them."""

    def workflow_of(self, payload: Mapping[str, Any]) -> str | None:
        """The workflow id a sealed payload names; None for anything else."""
        ...

    async def open(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Raises domain.keys.Unreadable."""
        ...

    async def seal(self, workflow_id: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """For this execution alone. Raises domain.keys.Unreadable."""
        ...


@dataclass(frozen=True, slots=True)
class Security:
    """`token_secret` signs tokens, cursors and forms; `pepper` goes into password hashes. Each ≥ 32 bytes."""

    token_secret: bytes = field(repr=False)
    pepper: bytes = field(repr=False)
    public_url: str
    #: bcrypt's cost; only tests lower it.
    password_cost: int = 12
    #: Who may register: whoever proves an e-mail address, anybody, or only who was invited.
    sign_up: Literal["verified", "open", "closed"] = "verified"

    def __post_init__(self) -> None:
        if len(self.token_secret) < 32 or len(self.pepper) < 32:
            raise ValueError("token_secret and pepper must hold at least 32 random bytes each")

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")


@dataclass(frozen=True, slots=True)
class Collaborators:
    database: Database
    keys: SearchableKeyRing
    catalogue: Catalogue
    dispatcher: Dispatcher
    security: Security
    clock: Callable[[], datetime]
    processes: Processes
    blobs: BlobStore = field(default_factory=NoBlobs)
    payloads: SealedPayloads | None = None
    #: Where functions come from that definitions name by their address.
    functions: FunctionSource = field(default_factory=NoFunctions)
    #: The one foreign origin whose pages may call the codec server.
    temporal_ui_url: str | None = None
    #: Where executions are found in it.
    temporal_namespace: str = "default"
    turns: Turns = field(default_factory=Turns)
    #: Whether codes can reach telephones here.
    has_sms: bool = False


async def collaborators(request: Request) -> Collaborators:
    found: Collaborators = request.app.state.collaborators
    return found


# Every dependency of the API is a coroutine: FastAPI sends a plain function to a thread, which costs more.
Parts = Annotated[Collaborators, Depends(collaborators)]
