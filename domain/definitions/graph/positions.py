"""Positions people have chosen in an editor win over ours; what hangs on a moved box follows it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from domain.definitions.outline import at

from .layout import MARGIN, PADDING, Laid, PlacedEdge, PlacedNode, PlacedSection, Rectangle
from .model import Node
from .shapes import Path, down, moved

#: Farther out nothing is drawn.
MAXIMUM: Final = 100_000.0
_Move = tuple[float, float]
_STILL: Final[_Move] = (0.0, 0.0)


def positioned(laid: Laid, layout: Any) -> Laid:
    """`layout` holds the top left corner of steps, `{x, y}` or `[x, y]`, by pointer or by name.

    Whatever else it holds is passed over. Boxes may overlap afterwards: somebody wanted them there.
    """
    chosen = _chosen(laid, layout)
    if not chosen:
        return laid
    moves: dict[str, _Move] = {}
    for node in laid.graph.root.nodes:
        _spread(node, _STILL, chosen, laid, moves)
    nodes = {id: _shifted(placed, moves[id]) for id, placed in laid.nodes.items()}
    sections = {
        id: replace(placed, area=placed.area.shifted(*moves[placed.owner]))
        for id, placed in laid.sections.items()
    }
    _grow(laid, nodes, sections)
    edges = tuple(_redrawn(edge, nodes, moves) for edge in laid.edges)
    return _from_the_corner(replace(laid, nodes=nodes, sections=sections, edges=edges))


def _chosen(laid: Laid, layout: Any) -> dict[str, _Move]:
    if not isinstance(layout, Mapping):
        return {}
    inner = at(layout, "nodes")
    places = {**layout, **inner} if isinstance(inner, Mapping) else layout
    found = {}
    for id, placed in laid.nodes.items():
        place = _place(places.get(id, places.get(placed.node.name)))
        if placed.node.is_step and place is not None:
            found[id] = place
    return found


def _place(given: Any) -> _Move | None:
    pair = [given.get("x"), given.get("y")] if isinstance(given, Mapping) else given
    if not isinstance(pair, list) or len(pair) != 2:
        return None
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in pair):
        return None
    x, y = float(pair[0]), float(pair[1])
    return (x, y) if abs(x) <= MAXIMUM and abs(y) <= MAXIMUM else None


def _spread(
    node: Node, inherited: _Move, chosen: Mapping[str, _Move], laid: Laid, moves: dict[str, _Move]
) -> None:
    """A box takes along what stands inside it, unless that has a place of its own."""
    move = inherited
    if node.id in chosen:
        area = laid.nodes[node.id].area
        move = (chosen[node.id][0] - area.x, chosen[node.id][1] - area.y)
    moves[node.id] = move
    if node.undo is not None:
        moves[node.undo.id] = move
    for section in node.sections:
        moves[section.id] = move
        for inner in section.nodes:
            _spread(inner, move, chosen, laid, moves)


def _grow(laid: Laid, nodes: dict[str, PlacedNode], sections: dict[str, PlacedSection]) -> None:
    """Frames hold whatever was put into them, innermost first."""
    for id, section in reversed(list(sections.items())):
        inside = [nodes[node.id].area for node in laid.sections[id].section.nodes]
        area = _around(section.area, inside)
        sections[id] = replace(section, area=area)
        owner = nodes[section.owner]
        nodes[section.owner] = replace(owner, area=_around(owner.area, [area]))


def _around(frame: Rectangle, inside: list[Rectangle]) -> Rectangle:
    left = min([frame.x, *(each.x - PADDING for each in inside)])
    top = min([frame.y, *(each.y - 2 * PADDING for each in inside)])
    right = max([frame.right, *(each.right + PADDING for each in inside)])
    bottom = max([frame.bottom, *(each.bottom + PADDING for each in inside)])
    return Rectangle(left, top, right - left, bottom - top)


def _redrawn(placed: PlacedEdge, nodes: Mapping[str, PlacedNode], moves: Mapping[str, _Move]) -> PlacedEdge:
    source, target = moves[placed.edge.source], moves[placed.edge.target]
    if source == target or placed.reference is not None:
        shift = source
        return replace(
            placed,
            path=moved(placed.path, *shift),
            label=placed.label and placed.label.shifted(*shift),
            reference=placed.reference and placed.reference.shifted(*shift),
        )
    if placed.edge.source not in nodes or placed.edge.target not in nodes:
        return replace(placed, path=())
    begin, end = nodes[placed.edge.source], nodes[placed.edge.target]
    path = _direct(begin, end)
    middle = ((begin.axis + end.axis) / 2, (begin.area.bottom + end.area.y) / 2)
    label = placed.label and Rectangle(
        middle[0] - placed.label.width / 2, middle[1] - 10, placed.label.width, placed.label.height
    )
    return replace(placed, path=path, label=label)


def _direct(begin: PlacedNode, end: PlacedNode) -> Path:
    x1, y1, x2, y2 = begin.axis, begin.area.bottom, end.axis, end.area.y
    if y2 >= y1 + 12:
        return (("M", x1, y1), down(x1, y1, x2, y2))
    return (("M", x1, y1), ("C", x1, y1 + 60, x2, y2 - 60, x2, y2))


def _shifted(placed: PlacedNode, move: _Move) -> PlacedNode:
    return replace(placed, area=placed.area.shifted(*move), axis=placed.axis + move[0])


def _from_the_corner(laid: Laid) -> Laid:
    """The drawing begins where its leftmost and topmost parts are: places are kept relative to each other."""
    areas = [placed.area for placed in laid.nodes.values()]
    points = [float(x) for edge in laid.edges for piece in edge.path for x in piece[1::2]]
    heights = [float(y) for edge in laid.edges for piece in edge.path for y in piece[2::2]]
    left = min([*(each.x for each in areas), *points]) - MARGIN
    top = min([*(each.y for each in areas), *heights]) - MARGIN
    right = max([*(each.right for each in areas), *points]) + MARGIN
    bottom = max([*(each.bottom for each in areas), *heights]) + MARGIN
    shift = (-min(left, 0.0), -min(top, 0.0))
    return Laid(
        laid.graph,
        {id: _shifted(placed, shift) for id, placed in laid.nodes.items()},
        {id: replace(placed, area=placed.area.shifted(*shift)) for id, placed in laid.sections.items()},
        tuple(
            replace(
                edge,
                path=moved(edge.path, *shift),
                label=edge.label and edge.label.shifted(*shift),
                reference=edge.reference and edge.reference.shifted(*shift),
            )
            for edge in laid.edges
        ),
        right + shift[0],
        bottom + shift[1],
    )
