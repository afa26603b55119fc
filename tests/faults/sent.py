"""What the load knows of each organization and of each trigger it sent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from tests.faults.client import Caller


@dataclass
class House:
    """One organization, its key and its published workflows; `canary` is in everything it sends."""

    name: str
    id: UUID
    caller: Caller
    canary: str
    #: The value of its secret `partner`.
    secret: str
    workflows: dict[str, str] = field(default_factory=dict)
    #: Address and signing secret of its webhook.
    hook: tuple[str, str] = ("", "")
    #: The id of its schedule.
    schedule: str = ""

    def path(self, kind: str) -> str:
        return f"/v1/workflows/{self.workflows[kind]}/executions"


@dataclass
class Sent:
    """One trigger and all answers to it; `gave_up` after silence, so nobody knows what became of it."""

    n: str
    kind: str
    house: House
    key: str
    ids: list[str] = field(default_factory=list)
    gave_up: bool = False
    #: What a person was told about their answer.
    said: str | None = None

    @property
    def body(self) -> dict[str, dict[str, str]]:
        return {"input": {"n": self.n, "canary": self.house.canary}}


def tally(sent: Sequence[Sent]) -> Counter[str]:
    return Counter(each.kind for each in sent)
