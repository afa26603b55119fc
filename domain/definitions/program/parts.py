"""What a program consists of: blocks of steps, each with its work and its data flow."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

from domain.actions import Effect, Lane
from domain.definitions.expressions import Expression, Json, Template
from domain.definitions.schemas import Schema

#: Where the first block of every document stands.
ROOT: Final = "/do"
#: The semantics a new execution is started with; fixed in its state for life.
ENGINE: Final = 1

Shape: TypeAlias = Expression | Template


@dataclass(frozen=True, slots=True)
class PinnedAction:
    """The exact action a `call` means for every execution of this version."""

    action: str
    version: str
    lane: Lane
    effect: Effect
    timeout: timedelta
    defaults: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Set:
    values: Shape


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    when: Expression | None
    then: str


@dataclass(frozen=True, slots=True)
class Switch:
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class For:
    """`each` and `at` are the names of its variables."""

    each: str
    at: str
    items: Expression
    condition: Expression | None
    block: str


@dataclass(frozen=True, slots=True)
class Do:
    block: str


@dataclass(frozen=True, slots=True)
class Wait:
    duration: timedelta | Expression


@dataclass(frozen=True, slots=True)
class Listen:
    """One event of this type; `read` is "data" or "envelope"."""

    type: str
    read: str


@dataclass(frozen=True, slots=True)
class Call:
    """`variables` are the `{names}` the endpoint of an HTTP call is written with.

    `arguments` withhold what reads `$secrets`: only the activity that needs a secret evaluates it.
    """

    name: str
    pinned: PinnedAction
    arguments: Template
    variables: frozenset[str]

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that the arguments read."""
        read = frozenset[str | None]().union(*(each.secrets for each in self.arguments.withheld))
        return frozenset(name for name in read if name is not None)


Work: TypeAlias = Set | Switch | For | Do | Wait | Listen | Call


@dataclass(frozen=True, slots=True)
class Flow:
    """How data enters and leaves a step or the whole workflow."""

    input_schema: Schema | None
    input_from: Shape | None
    output_as: Shape | None
    output_schema: Schema | None
    export_as: Shape | None
    export_schema: Schema | None
    #: What `output.as` and `export.as` read, but for `$output`, which arises only then.
    leaving_names: frozenset[str]

    @property
    def keeps_output(self) -> bool:
        """True when the raw output is the output, and nothing is exported."""
        return self.output_as is None and self.output_schema is None and self.export_as is None


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    pointer: str
    kind: str
    condition: Expression | None
    flow: Flow
    then: str
    work: Work
    definition: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Block:
    """A list of steps; `then` resolves names only within it."""

    pointer: str
    steps: tuple[Step, ...]
    index: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Program:
    """`blocks` and `steps` are found by their JSON pointers in the document."""

    flow: Flow
    document: Mapping[str, Json]
    variables: Mapping[str, Json]
    blocks: Mapping[str, Block]
    steps: Mapping[str, Step]
    #: Names of the steps whose latest output some expression reads through `$steps`; only these are kept.
    remembered: frozenset[str]
