"""The nodes-and-edges view of a definition: a projection, derived anew each time, never stored."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

START: Final = "start"
END: Final = "end"
#: Where a list of steps inside a step begins and ends, and where it leads out of the whole workflow.
ENTRY: Final = "#in"
EXIT: Final = "#out"
STOP: Final = "#end"
UNDO: Final = "#undo"
MARKS: Final = frozenset({"start", "end", "entry", "exit", "stop", "undo"})


class EdgeKind(StrEnum):
    NEXT = "next"
    BRANCH = "branch"
    CASE = "case"
    LOOP = "loop"
    CATCH = "catch"
    COMPENSATION = "compensation"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Edge:
    """From one node to another. `within` is the section that both stand in; None for the outermost list."""

    source: str
    target: str
    kind: EdgeKind
    label: str = ""
    within: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """`id` is the step's pointer; what is no step has a mark before the pointer of its section: `#in/do/0/a/do`.

    `kind` is the keyword of a step, else one of MARKS. `sections` are the lists of steps inside it.
    """

    id: str
    kind: str
    name: str
    detail: str = ""
    notes: tuple[str, ...] = ()
    is_reachable: bool = True
    sections: tuple["Section", ...] = ()
    undo: "Node | None" = None
    #: Whether it is work for a person.
    asks_somebody: bool = False

    @property
    def is_step(self) -> bool:
        return self.kind not in MARKS


@dataclass(frozen=True, slots=True)
class Section:
    """A list of steps with the edges between them. `id` is the list's pointer; the first node is where it begins,
    the last where it ends."""

    id: str
    kind: str
    title: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def walk(self) -> Iterator[Node]:
        for node in self.nodes:
            yield node
            for section in node.sections:
                yield from section.walk()


@dataclass(frozen=True, slots=True)
class Graph:
    """`root` begins with the start and ends with the end; `across` are edges between sections of one step."""

    title: str
    root: Section
    across: tuple[Edge, ...] = field(default_factory=tuple)

    def nodes(self) -> Iterator[Node]:
        return self.root.walk()

    def edges(self) -> Iterator[Edge]:
        yield from self.root.edges
        for node in self.nodes():
            for section in node.sections:
                yield from section.edges
        yield from self.across
