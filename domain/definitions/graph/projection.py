"""From the tree of steps to nodes and edges: what follows what, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from domain.definitions import phrases
from domain.definitions.meanings import Meanings
from domain.definitions.outline import Step, at, outline
from domain.definitions.phrases import visible

from . import details
from .model import END, ENTRY, EXIT, START, STOP, UNDO, Edge, EdgeKind, Graph, Node, Section

_TITLES = {"try": "try", "foreach": "for each event", "do": "", "branches": ""}
_PATHS = {"do": "do", "branches": "fork/branches", "foreach": "foreach/do", "try": "try", "catch": "catch/do"}


def project(definition: Any, title: str, *, actions: Any = None, calls: Any = None) -> Graph:
    """The graph of a definition, whether or not it could be published. Raises Invalid for more than 2 000 steps.

    `actions` are those configured beside it, `calls` what a version's calls are pinned to.
    """
    use = at(definition, "use")
    projection = _Projection(use if isinstance(use, Mapping) else {}, Meanings(use, actions, calls))
    root = projection.section(
        "/do", "do", "", outline(definition), Node(START, "start", "Start"), Node(END, "end", "End")
    )
    return Graph(visible(title, 100), root, tuple(projection.across))


class _Projection:
    def __init__(self, use: Mapping[str, Any], meanings: Meanings) -> None:
        self.use = use
        self.meanings = meanings
        self.across: list[Edge] = []

    def node(self, step: Step, *, is_reachable: bool) -> Node:
        undo = details.undoing(step)
        if undo is not None:
            self.across.append(Edge(step.pointer, UNDO + step.pointer, EdgeKind.COMPENSATION))
        return Node(
            step.pointer,
            step.kind,
            visible(step.name, 100) or "(no name)",
            details.detail(step, self.use),
            details.notes(step, self.use) + (() if is_reachable else ("cannot be reached",)),
            is_reachable,
            tuple(self.sections(step)),
            None if undo is None else Node(UNDO + step.pointer, "undo", "to undo it", undo),
            step.kind == "call" and self.meanings.of(step.body["call"]).asks_somebody,
        )

    def sections(self, step: Step) -> Iterable[Section]:
        found: dict[str, Section] = {}
        for place, steps in step.lists.items():
            if not steps and place != "try":
                continue
            id = f"{step.pointer}/{_PATHS[place]}"
            title = _catching(step) if place == "catch" else _TITLES[place]
            first, last = Node(ENTRY + id, "entry", ""), Node(EXIT + id, "exit", "")
            found[place] = self.section(id, place, title, steps, first, last)
            if step.kind in ("for", "listen"):
                back = Edge(last.id, first.id, EdgeKind.LOOP, "next", id)
                found[place] = replace(found[place], edges=(*found[place].edges, back))
        if "try" in found:
            self.catches(step, found["try"], found.get("catch"))
        return found.values()

    def catches(self, step: Step, tried: Section, caught: Section | None) -> None:
        """Edges out of what is tried: of every error that is caught, and of the time limits of its steps."""
        target = step.pointer if caught is None else caught.id
        catch = step.body.get("catch")
        self.across.append(Edge(tried.id, target, EdgeKind.CATCH, phrases.admitted(catch) or ""))
        if not _admits_timeouts(catch):
            return
        for inner in step.lists["try"]:
            limit = phrases.timeout(inner.body, self.use)
            if limit is not None:
                self.across.append(Edge(inner.pointer, target, EdgeKind.TIMEOUT, f"after {limit}"))

    def section(
        self, id: str, kind: str, title: str, steps: tuple[Step, ...], first: Node, last: Node
    ) -> Section:
        within = None if id == "/do" else id
        following = _Following(within, steps, first.id, last.id)
        edges = following.branches() if kind == "branches" else following.sequence()
        reached = _reached(first.id, edges)
        nodes = [self.node(step, is_reachable=step.pointer in reached) for step in steps]
        if any(edge.target == STOP + id for edge in edges):
            nodes.append(Node(STOP + id, "stop", "End"))
        last = replace(last, is_reachable=last.id in reached)
        return Section(id, kind, title, (first, *nodes, last), tuple(edges))


class _Following:
    """The edges of one list of steps."""

    def __init__(self, within: str | None, steps: tuple[Step, ...], first: str, last: str) -> None:
        self.within = within
        self.steps = steps
        self.first = first
        self.last = last
        self.named = {step.name: step.pointer for step in reversed(steps)}
        self.edges: list[Edge] = []

    def branches(self) -> list[Edge]:
        for step in self.steps:
            self.add(self.first, step.pointer, EdgeKind.BRANCH)
            self.then(step, "exit" if step.then in self.named else step.then, self.last)
        return self.edges

    def sequence(self) -> list[Edge]:
        self.add(self.first, self.steps[0].pointer if self.steps else self.last, EdgeKind.NEXT)
        for index, step in enumerate(self.steps):
            following = self.steps[index + 1].pointer if index + 1 < len(self.steps) else self.last
            if step.kind == "switch":
                self.cases(step, following)
            elif step.kind != "raise":
                self.then(step, step.then, following)
            if step.kind == "try":
                self.after_catch(step, following)
            if "if" in step.body and step.then != "continue":
                self.add(step.pointer, following, EdgeKind.NEXT, "if not")
        return self.edges

    def cases(self, step: Step, following: str) -> None:
        """The case without a condition takes what no other did; without one the step's own `then` does."""
        is_complete = False
        for name, case in details.cases(step.body):
            then = case.get("then")
            self.then(
                step,
                then if isinstance(then, str) else "continue",
                following,
                EdgeKind.CASE,
                visible(name, 40),
            )
            is_complete = is_complete or "when" not in case
        if not is_complete:
            self.then(step, step.then, following, EdgeKind.CASE, "otherwise")

    def after_catch(self, step: Step, following: str) -> None:
        then = step.part("catch", "then")
        if isinstance(then, str) and then != step.then:
            self.then(step, then, following, EdgeKind.CATCH, "once caught")

    def then(
        self, step: Step, then: str, following: str, kind: EdgeKind = EdgeKind.NEXT, label: str = ""
    ) -> None:
        match then:
            case "continue":
                self.add(step.pointer, following, kind, label)
            case "exit":
                self.add(step.pointer, self.last, kind, label)
            case "end":
                self.add(step.pointer, END if self.within is None else STOP + self.within, kind, label)
            case name if name in self.named:
                self.add(step.pointer, self.named[name], kind, label)
            case _:
                pass  # validation tells that there is no such step

    def add(self, source: str, target: str, kind: EdgeKind, label: str = "") -> None:
        self.edges.append(Edge(source, target, kind, label, self.within))


def _reached(first: str, edges: Iterable[Edge]) -> set[str]:
    following: dict[str, list[str]] = {}
    for edge in edges:
        following.setdefault(edge.source, []).append(edge.target)
    reached, waiting = {first}, [first]
    while waiting:
        for target in following.get(waiting.pop(), ()):
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def _catching(step: Step) -> str:
    told = phrases.admitted(step.body.get("catch"))
    return "if it fails" if told is None else f"if it fails: {told}"


def _admits_timeouts(catch: Any) -> bool:
    wanted = at(catch, "errors", "with")
    if not isinstance(wanted, Mapping):
        return True
    return wanted.get("status", 408) == 408 and str(wanted.get("type", "timeout")).rstrip("/").endswith(
        "timeout"
    )
