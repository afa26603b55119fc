"""The graph as JSON, for editors that draw it themselves."""

from collections.abc import Mapping
from typing import Any

from .layout import Laid, PlacedEdge, PlacedNode, Rectangle
from .shapes import text_of
from .svg import Status


def as_json(laid: Laid, statuses: Mapping[str, Status] | None = None) -> dict[str, Any]:
    """`nodes`, `groups` (the lists of steps inside steps) and `edges`; lengths in pixels, from the top left corner."""
    found = statuses or {}
    return {
        "title": laid.graph.title,
        "width": _rounded(laid.width),
        "height": _rounded(laid.height),
        "nodes": [_node(placed, found.get(placed.node.id)) for placed in laid.nodes.values()],
        "groups": [
            {
                "id": placed.section.id,
                "kind": placed.section.kind,
                "title": placed.section.title,
                "node": placed.owner,
                **_area(placed.area),
            }
            for placed in laid.sections.values()
        ],
        "edges": [_edge(edge) for edge in laid.edges],
    }


def _node(placed: PlacedNode, status: Status | None) -> dict[str, Any]:
    node = placed.node
    return {
        "id": node.id,
        "kind": node.kind,
        "name": node.name,
        "detail": node.detail,
        "notes": list(node.notes),
        "group": None if placed.parent == "/do" else placed.parent,
        "is_step": node.is_step,
        "is_reachable": node.is_reachable,
        "status": None if status is None else status.status,
        "visits": 0 if status is None else status.visits,
        **_area(placed.area),
    }


def _edge(placed: PlacedEdge) -> dict[str, Any]:
    """`path` is empty where no line is drawn: the label or a note says it instead."""
    edge = placed.edge
    return {
        "source": edge.source,
        "target": edge.target,
        "kind": edge.kind.value,
        "label": edge.label,
        "group": edge.within,
        "path": text_of(placed.path) if placed.reference is None else "",
    }


def _area(area: Rectangle) -> dict[str, float]:
    return {
        "x": _rounded(area.x),
        "y": _rounded(area.y),
        "width": _rounded(area.width),
        "height": _rounded(area.height),
    }


def _rounded(value: float) -> float:
    return round(value, 1)
