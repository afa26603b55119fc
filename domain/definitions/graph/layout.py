"""Where everything stands: boxes measured from the inside out, then placed from the outside in."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from .layered import arrange
from .measures import fitted, width
from .model import Edge, EdgeKind, Graph, Node, Section
from .ranks import Link
from .shapes import Box, Path, moved

TITLE: Final = 13.5
SMALL: Final = 11.5
MARGIN: Final = 24.0
PADDING: Final = 16.0
#: Between what is tried and what catches: room for the arrow.
BESIDE: Final = 56.0
UNDO_GAP: Final = 26.0
UNDO_HEIGHT: Final = 54.0
STATUS_LINE: Final = 18.0
_ICON: Final = 42.0
_NARROWEST, _WIDEST = 132.0, 270.0
_DOT: Final = Box.around(10, 10)
_PILL: Final = 20.0


@dataclass(frozen=True, slots=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def shifted(self, dx: float, dy: float) -> "Rectangle":
        return Rectangle(self.x + dx, self.y + dy, self.width, self.height)


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """`parent` is the section it stands in; edges meet its top and bottom at `axis`."""

    node: Node
    area: Rectangle
    axis: float
    parent: str


@dataclass(frozen=True, slots=True)
class PlacedSection:
    section: Section
    area: Rectangle
    owner: str


@dataclass(frozen=True, slots=True)
class PlacedEdge:
    """`path` may be empty: a reference beside the source then names the target."""

    edge: Edge
    path: Path
    label: Rectangle | None = None
    reference: Rectangle | None = None


@dataclass(frozen=True, slots=True)
class Laid:
    """Everything placed, outer parts before inner ones."""

    graph: Graph
    nodes: Mapping[str, PlacedNode]
    sections: Mapping[str, PlacedSection]
    edges: tuple[PlacedEdge, ...]
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Measured:
    """A node's box, and its sections with their places inside it."""

    node: Node
    box: Box
    sections: tuple[tuple[Rectangle, "_Room"], ...] = ()
    #: Of every section: how far below its top the first step stands.
    inset: float = 0.0


@dataclass(frozen=True, slots=True)
class _Room:
    """A section arranged: its inner origin is (0, 0) at the first node's axis."""

    section: Section
    nodes: tuple[_Measured, ...]
    tops: tuple[tuple[float, float], ...]
    edges: tuple[PlacedEdge, ...]
    left: float
    right: float
    height: float


def lay_out(graph: Graph, statuses: Mapping[str, Any] | None = None) -> Laid:
    """The same graph is always laid out alike. Steps in `statuses` get room for a line more."""
    measuring = _Measuring(statuses or {})
    room = measuring.room(graph.root)
    placing = _Placing()
    placing.room(room, MARGIN - room.left, MARGIN)
    edges = (*placing.edges, *_across(graph, placing))
    return Laid(
        graph,
        placing.nodes,
        placing.sections,
        edges,
        room.right - room.left + 2 * MARGIN,
        room.height + 2 * MARGIN,
    )


class _Measuring:
    def __init__(self, statuses: Mapping[str, Any]) -> None:
        self.statuses = statuses

    def room(self, section: Section) -> _Room:
        nodes = tuple(self.node(node) for node in section.nodes)
        at = {measured.node.id: index for index, measured in enumerate(nodes)}
        links = [
            Link(at[edge.source], at[edge.target], pill(edge.label) if _is_labelled(edge) else None)
            for edge in section.edges
        ]

        def reference(index: int) -> Box:
            edge = section.edges[index]
            return pill(reference_text(edge, nodes[at[edge.target]].node))

        done = arrange([measured.box for measured in nodes], links, reference)
        shift = -done.axis[0]
        edges = []
        for index, edge in enumerate(section.edges):
            label = done.labels.get(index)
            named = done.references.get(index)
            edges.append(
                PlacedEdge(
                    edge,
                    moved(done.paths[index], shift, 0),
                    _pill_at(pill(edge.label), label, shift),
                    _pill_at(reference(index), named, shift) if named else None,
                )
            )
        places = tuple((axis + shift, top) for axis, top in zip(done.axis, done.top, strict=True))
        return _Room(section, nodes, places, tuple(edges), done.left + shift, done.right + shift, done.height)

    def node(self, node: Node) -> _Measured:
        if node.kind in ("entry", "exit"):
            return _Measured(node, _DOT)
        if not node.is_step:
            return _Measured(node, Box.around(max(64.0, width(node.name, TITLE, bold=True) + 36), 34))
        head = self.head(node)
        if not node.sections:
            box = Box.around(*head)
            if node.undo is not None:
                box = Box(
                    box.left, box.right + UNDO_GAP + undo_width(node.undo), max(box.height, UNDO_HEIGHT)
                )
            return _Measured(node, box)
        return self.group(node, *head)

    def group(self, node: Node, head_width: float, head_height: float) -> _Measured:
        rooms = [self.room(section) for section in node.sections]
        titled = len(rooms) > 1 or any(room.section.title for room in rooms)
        title = 34.0 if titled else 4.0
        inner = PADDING if titled else 6.0
        at, areas = PADDING, []
        for room in rooms:
            wide = max(room.right - room.left + 2 * inner, width(room.section.title, SMALL, bold=True) + 26)
            areas.append(Rectangle(at, head_height, wide, room.height + title + inner))
            at += wide + BESIDE
        total = max(at - BESIDE + PADDING, head_width)
        spare = (total - (at - BESIDE + PADDING)) / 2
        areas = [area.shifted(spare, 0) for area in areas]
        height = max(area.bottom for area in areas) + PADDING
        axis = areas[0].x + _inset(areas[0], rooms[0]) - rooms[0].left
        extra = 0.0 if node.undo is None else UNDO_GAP + undo_width(node.undo)
        box = Box(axis, total - axis + extra, height)
        return _Measured(node, box, tuple(zip(areas, rooms, strict=True)), title)

    def head(self, node: Node) -> tuple[float, float]:
        texts = [width(node.name, TITLE, bold=True), width(node.detail, SMALL)]
        texts += [width(note, SMALL) + 4 for note in node.notes]
        lines = (1 if node.detail else 0) + len(node.notes)
        height = 38.0 + 16 * lines - (0 if lines else 2)
        if node.id in self.statuses:
            height += STATUS_LINE
            texts.append(150.0)
        wide = min(max(*texts) + _ICON + 16, _WIDEST)
        return round(max(wide, _NARROWEST)), height


class _Placing:
    def __init__(self) -> None:
        self.nodes: dict[str, PlacedNode] = {}
        self.sections: dict[str, PlacedSection] = {}
        self.edges: list[PlacedEdge] = []

    def room(self, room: _Room, x: float, y: float) -> None:
        """`x` is the axis of the section's first node."""
        for measured, (axis, top) in zip(room.nodes, room.tops, strict=True):
            self.node(measured, room.section.id, x + axis, y + top)
        self.edges += [_moved(edge, x, y) for edge in room.edges]

    def node(self, measured: _Measured, parent: str, axis: float, top: float) -> None:
        node, box = measured.node, measured.box
        aside = 0.0 if node.undo is None else UNDO_GAP + undo_width(node.undo)
        area = Rectangle(axis - box.left, top, box.width - aside, box.height)
        self.nodes[node.id] = PlacedNode(node, area, axis, parent)
        if node.undo is not None:
            beside = Rectangle(area.right + UNDO_GAP, area.y, undo_width(node.undo), UNDO_HEIGHT)
            self.nodes[node.undo.id] = PlacedNode(node.undo, beside, beside.x + beside.width / 2, parent)
        for inner, room in measured.sections:
            placed = inner.shifted(area.x, area.y)
            self.sections[room.section.id] = PlacedSection(room.section, placed, node.id)
            left = placed.x + _inset(placed, room) - room.left
            self.room(room, left, placed.y + measured.inset)


def pill(text: str) -> Box:
    return Box.around(min(width(text, SMALL) + 20, 200.0), _PILL)


def undo_width(undo: Node) -> float:
    return min(max(width(undo.detail, SMALL), width(undo.name, TITLE, bold=True)) + _ICON + 16, 220.0)


def reference_text(edge: Edge, target: Node) -> str:
    """What stands beside a step instead of a line to a target far away."""
    name = fitted(target.name or "the end", SMALL, 120)
    return f"{edge.label}: go to {name}" if edge.label else f"go to {name}"


def _is_labelled(edge: Edge) -> bool:
    return bool(edge.label) and edge.kind is not EdgeKind.LOOP


def _inset(area: Rectangle, room: _Room) -> float:
    return (area.width - (room.right - room.left)) / 2


def _pill_at(box: Box, place: tuple[float, float] | None, shift: float) -> Rectangle | None:
    return None if place is None else Rectangle(place[0] + shift - box.left, place[1], box.width, box.height)


def _moved(edge: PlacedEdge, dx: float, dy: float) -> PlacedEdge:
    return replace(
        edge,
        path=moved(edge.path, dx, dy),
        label=edge.label and edge.label.shifted(dx, dy),
        reference=edge.reference and edge.reference.shifted(dx, dy),
    )


def _across(graph: Graph, placing: _Placing) -> list[PlacedEdge]:
    """Edges between the sections of a step, and to what undoes it: short ones, from side to side."""
    placed = []
    for edge in graph.across:
        path: Path = ()
        if edge.kind is EdgeKind.COMPENSATION:
            source, target = placing.nodes[edge.source].area, placing.nodes[edge.target].area
            y = target.y + target.height / 2
            path = (("M", source.right, y), ("L", target.x, y))
        elif edge.target in placing.sections:
            path = _into_catch(edge, placing, placing.sections[edge.target].area)
        placed.append(PlacedEdge(edge, path))
    return placed


def _into_catch(edge: Edge, placing: _Placing, catch: Rectangle) -> Path:
    if edge.kind is EdgeKind.CATCH:
        tried = placing.sections[edge.source].area
        y = catch.y + 14
        return (("M", tried.right, y), ("L", catch.x, y))
    source = placing.nodes[edge.source]
    area = source.area
    beside = [
        each.area
        for each in placing.nodes.values()
        if each.parent == source.parent
        and each.area.x >= area.right
        and each.area.y < area.bottom < each.area.bottom + area.height
    ]
    if beside:
        return ()  # a line would run through other steps; the step's note tells its time limit
    y1 = area.y + area.height / 2
    y2 = min(max(y1, catch.y + 34), catch.bottom - 12)
    middle = catch.x - BESIDE / 2
    return (("M", area.right, y1), ("L", middle - 22, y1), ("C", middle, y1, middle, y2, catch.x, y2))
