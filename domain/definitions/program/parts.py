"""What a program consists of: blocks of steps, each with its work and its data flow."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from domain.actions import Effect, Lane
from domain.definitions.expressions import Expression, Json, Template
from domain.definitions.schemas import Schema

from .branching import Fork, Raise, Try
from .filters import Listen
from .functions import Function
from .shapes import Shape, Span

#: Where the first block of every document stands.
ROOT: Final = "/do"
#: Where a step says, below its pointer, how it is undone.
COMPENSATE: Final = "/metadata/compensate"
#: The semantics a new execution is started with; fixed in its state for life.
ENGINE: Final = 1

#: What stands around a list of steps: the branch of a fork, what is tried or handles an error, an extension.
Role: TypeAlias = Literal["steps", "branch", "try", "catch", "before", "after"]


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
class Call:
    """`variables` are the `{names}` the endpoint of an HTTP call is written with.

    `arguments` withhold what reads `$secrets`: only the activity that needs a secret evaluates it.
    """

    name: str
    pinned: PinnedAction
    arguments: Template
    variables: frozenset[str]
    #: What comes of the call is not the step's output: its input is.
    keeps_input: bool = False

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the secrets that the arguments read."""
        read = frozenset[str | None]().union(*(each.secrets for each in self.arguments.withheld))
        return frozenset(name for name in read if name is not None)


Work: TypeAlias = Set | Switch | For | Do | Fork | Try | Raise | Wait | Listen | Call | Function


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
class Extension:
    """Lists of steps to run around another step, where `when` holds."""

    when: Expression | None
    before: str | None
    after: str | None


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
    timeout: Span | None = None
    #: The call that undoes what this step did, should the execution not succeed.
    compensation: Call | None = None
    #: The extensions that may stand around this step, outermost first.
    extensions: tuple[Extension, ...] = ()
    #: This step belongs to an extension.
    extends: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A list of steps; `then` resolves names only within it."""

    pointer: str
    steps: tuple[Step, ...]
    index: Mapping[str, int]
    role: Role = "steps"


@dataclass(frozen=True, slots=True)
class Program:
    """`blocks` and `steps` are found by their JSON pointers in the document."""

    flow: Flow
    document: Mapping[str, Json]
    variables: Mapping[str, Json]
    blocks: Mapping[str, Block]
    steps: Mapping[str, Step]
    #: Pointers of the steps whose latest output some expression reads through `$steps`; only these are kept.
    remembered: frozenset[str]
    timeout: Span | None = None
    has_forks: bool = False

    def call(self, pointer: str) -> Call:
        """The call that stands at a step, or at its `metadata/compensate`."""
        step = self.steps.get(pointer)
        found = self.steps[pointer.removesuffix(COMPENSATE)].compensation if step is None else step.work
        assert isinstance(found, Call)
        return found
