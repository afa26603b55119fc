"""The steps that run others side by side, guard them or fail on purpose: fork, try, raise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from domain.definitions.expressions import Expression, Json, Template

from .shapes import Span

Backoff: TypeAlias = Literal["constant", "linear", "exponential"]


@dataclass(frozen=True, slots=True)
class Fork:
    """`branches` are the blocks of one step each, in the order of declaration."""

    branches: tuple[str, ...]
    compete: bool


@dataclass(frozen=True, slots=True)
class Raise:
    """`error` has at least `type` and `status`."""

    error: Template


@dataclass(frozen=True, slots=True)
class Retry:
    """`count` is how often the list is tried again at most; `attempt` and `total` limit one try and all of them."""

    when: Expression | None = None
    except_when: Expression | None = None
    delay: Span | None = None
    backoff: Backoff = "constant"
    jitter: tuple[Span, Span] | None = None
    count: int | None = None
    attempt: Span | None = None
    total: Span | None = None


@dataclass(frozen=True, slots=True)
class Catch:
    """Which errors are caught, by `filter`, `when` and `except_when`; `name` is the variable of the error."""

    filter: Mapping[str, Json]
    name: str
    when: Expression | None
    except_when: Expression | None
    retry: Retry | None
    block: str | None
    then: str | None

    @property
    def only_retries(self) -> bool:
        """Nothing is said for the time when no attempt is left: the error was to be overcome, not to be forgotten."""
        return self.retry is not None and self.block is None and self.then is None


@dataclass(frozen=True, slots=True)
class Try:
    block: str
    catch: Catch
