"""What a `listen` waits for: filters of events, how they combine, and what is done with each event."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from domain.definitions.expressions import Expression, Json, Template

if TYPE_CHECKING:
    from .parts import Flow


@dataclass(frozen=True, slots=True)
class Literally:
    """An attribute that must be this very value; `pattern` is there when a text is a regular expression too."""

    value: Json
    pattern: Any = None


@dataclass(frozen=True, slots=True)
class Correlation:
    """`start` is read from the event. `key` is the place of `expect` among all that one listen expects."""

    name: str
    key: str
    start: Expression
    #: None: the first event decides. A text that is no expression stands for itself.
    expect: Expression | str | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Every attribute must be in the event and fit, and every correlation hold."""

    attributes: tuple[tuple[str, Literally | Expression | Template], ...]
    correlations: tuple[Correlation, ...]


@dataclass(frozen=True, slots=True)
class Strategy:
    """`any` without filters takes every event."""

    way: Literal["one", "all", "any"]
    filters: tuple[EventFilter, ...]
    until: "Expression | Strategy | None" = None


@dataclass(frozen=True, slots=True)
class Foreach:
    """`item` and `at` are the names of its variables; `block` is None where nothing is done but shaping."""

    item: str
    at: str
    block: str | None
    flow: "Flow"


@dataclass(frozen=True, slots=True)
class Listen:
    """`read` is "data", "envelope" or "raw"; `types` are all types of events it can take, None when any."""

    to: Strategy
    read: str
    foreach: Foreach | None
    types: tuple[str, ...] | None

    @property
    def correlations(self) -> tuple[Correlation, ...]:
        until = self.to.until.filters if isinstance(self.to.until, Strategy) else ()
        return tuple(each for wanted in (*self.to.filters, *until) for each in wanted.correlations)
