"""The drawing: one SVG that needs nothing from outside and is safe to put into a page whatever the names are.

Colours are CSS variables, so that a page may set its own; without them everything is drawn in `currentColor`.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.definitions.phrases import counted

from . import icons
from .layout import (
    SMALL,
    STATUS_LINE,
    TITLE,
    Laid,
    PlacedEdge,
    PlacedNode,
    PlacedSection,
    Rectangle,
    reference_text,
)
from .measures import fitted
from .model import EdgeKind, Node
from .shapes import Path, number, text_of

_LIGHT: Final = {
    "ink": "#1c2430",
    "muted": "#5b6675",
    "surface": "#ffffff",
    "ground": "#fbfcfd",
    "line": "#d3d9e2",
    "group": "#eef2f7",
    "edge": "#8a95a5",
    "call": "#3457d5",
    "people": "#7a3fc4",
    "time": "#a15c00",
    "data": "#0b7a5b",
    "flow": "#3d5a75",
    "fault": "#c02b3c",
    "undo": "#8b3a8b",
    "completed": "#0b7a4b",
    "failed": "#c02b3c",
    "running": "#2457c5",
    "waiting": "#a15c00",
    "skipped": "#5b6675",
    "cancelled": "#6b4f4f",
}
_DARK: Final = {
    "ink": "#e8edf4",
    "muted": "#a3afbf",
    "surface": "#1b222c",
    "ground": "#12171e",
    "line": "#39434f",
    "group": "#171e27",
    "edge": "#738093",
    "call": "#8fabff",
    "people": "#c79bff",
    "time": "#f0b45c",
    "data": "#5fd3ac",
    "flow": "#9fbdd9",
    "fault": "#ff8b95",
    "undo": "#e3a0e3",
    "completed": "#5fd39b",
    "failed": "#ff8b95",
    "running": "#8fb4ff",
    "waiting": "#f0b45c",
    "skipped": "#a3afbf",
    "cancelled": "#cbb2b2",
}


def _rules(colours: Mapping[str, str]) -> str:
    return "".join(f"--graph-{name}:{colour};" for name, colour in colours.items())


STYLE: Final = (
    f".perdure-graph{{color-scheme:light dark;{_rules(_LIGHT)}}}"
    f"@media (prefers-color-scheme:dark){{.perdure-graph{{{_rules(_DARK)}}}}}"
)
#: For a Content-Security-Policy that allows exactly this style.
STYLE_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

_FALLBACK: Final = {"surface": "Canvas", "ground": "none", "group": "none"}
_DASHES: Final = {EdgeKind.CATCH: "6 4", EdgeKind.COMPENSATION: "2 4", EdgeKind.TIMEOUT: "6 3 2 3"}
_INKS: Final = {
    EdgeKind.CATCH: "fault",
    EdgeKind.COMPENSATION: "undo",
    EdgeKind.TIMEOUT: "time",
    EdgeKind.LOOP: "flow",
}
_FONT: Final = "ui-sans-serif,system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Noto Sans',sans-serif"
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a step in one execution; `visits` is how often it was entered."""

    status: str
    visits: int = 1

    @property
    def text(self) -> str:
        return self.status if self.visits == 1 else f"{self.status}, {counted(self.visits, 'time')}"


def draw(laid: Laid, statuses: Mapping[str, Status] | None = None, *, with_style: bool = True) -> str:
    """The SVG. A page that sets the variables itself asks for it without the style."""
    return _Drawing(laid, statuses or {}).text(with_style)


def escaped(text: str) -> str:
    """Fit for text and for attributes in double quotes."""
    text = _NOT_XML.sub("\ufffd", text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(character, entity)
    return text


class _Drawing:
    def __init__(self, laid: Laid, statuses: Mapping[str, Status]) -> None:
        self.laid = laid
        self.statuses = statuses
        self.leads: dict[str, list[str]] = {}
        for edge in laid.graph.edges():
            target = laid.nodes.get(edge.target)
            if target is not None and target.node.name:
                label = f"{edge.kind.value} {edge.label}".strip()
                self.leads.setdefault(edge.source, []).append(f"{label} → {target.node.name}")

    def text(self, with_style: bool) -> str:
        wide, high = number(self.laid.width), number(self.laid.height)
        steps = counted(sum(1 for node in self.laid.graph.nodes() if node.is_step), "step")
        described = f"{steps} from the start to the end." + self.summary()
        out = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="perdure-graph" viewBox="0 0 {wide} {high}" width="{wide}"'
            f' height="{high}" role="graphics-document document" aria-labelledby="graph-title graph-desc"'
            f' font-family="{_FONT}" font-size="{TITLE}" fill="none">',
            f'<title id="graph-title">{escaped(self.laid.graph.title)}</title>',
            f'<desc id="graph-desc">{escaped(described)}</desc>',
        ]
        if with_style:
            out.append(f"<style>{STYLE}</style>")
        out.append(f'<rect width="{wide}" height="{high}" fill="{_ink("ground")}"/>')
        for placed in self.laid.nodes.values():
            if placed.node.sections:
                out += self.frame(placed)
        out.append(f'<g aria-hidden="true" stroke-width="1.5" stroke="{_ink("edge")}">')
        out += [self.edge(edge) for edge in self.laid.edges if edge.path and edge.reference is None]
        out.append("</g>")
        out += [self.pill(edge) for edge in self.laid.edges if edge.label or edge.reference]
        out += [self.node(placed) for placed in self.laid.nodes.values()]
        out.append("</svg>")
        return "\n".join(each for each in out if each)

    def summary(self) -> str:
        found: dict[str, int] = {}
        for status in self.statuses.values():
            found[status.status] = found.get(status.status, 0) + 1
        return "".join(f" {number} {status}." for status, number in sorted(found.items()))

    def frame(self, placed: PlacedNode) -> list[str]:
        """A step with steps inside it: the ground under them."""
        dashed = ' stroke-dasharray="4 4"' if not placed.node.is_reachable else ""
        ground = _rect(placed.area, 14, f'fill="{_ink("group")}" stroke="{self.border(placed.node)}"{dashed}')
        shown = [each for each in self.laid.sections.values() if each.owner == placed.node.id]
        return [ground, *(self.section(each) for each in shown if len(shown) > 1 or each.section.title)]

    def section(self, placed: PlacedSection) -> str:
        kind = placed.section.kind
        colour = _ink("fault" if kind == "catch" else "flow")
        area = placed.area
        frame = _rect(area, 10, f'stroke="{colour}" stroke-opacity=".45" stroke-dasharray="3 4"')
        title = fitted(placed.section.title, SMALL, area.width - 20, bold=True)
        return frame + _text(area.x + 12, area.y + 18, title, SMALL, colour, 'font-weight="600"')

    def edge(self, placed: PlacedEdge) -> str:
        kind = placed.edge.kind
        style = f' stroke="{_ink(_INKS[kind])}"' if kind in _INKS else ""
        style += f' stroke-dasharray="{_DASHES[kind]}"' if kind in _DASHES else ""
        told = (
            f"<title>{escaped(kind.value + (': ' + placed.edge.label if placed.edge.label else ''))}</title>"
        )
        head = _arrow(placed.path, _ink(_INKS.get(kind, "edge")))
        return f'<path d="{text_of(placed.path)}"{style}>{told}</path>{head}'

    def pill(self, placed: PlacedEdge) -> str:
        area = placed.reference or placed.label
        assert area is not None
        text = placed.edge.label
        if placed.reference is not None:
            text = reference_text(placed.edge, self.laid.nodes[placed.edge.target].node)
        told = fitted(text, SMALL, area.width - 14)
        shape = _rect(area, area.height / 2, f'fill="{_ink("surface")}" stroke="{_ink("edge")}"')
        line = ""
        if placed.reference is not None and placed.path:
            line = f'<path d="{text_of(placed.path)}" stroke="{_ink("edge")}" stroke-width="1.5"/>'
        middle = area.x + area.width / 2
        inner = _text(middle, area.y + 14, told, SMALL, _ink("muted"), 'text-anchor="middle"')
        return f'<g aria-hidden="true">{line}{shape}{inner}<title>{escaped(text)}</title></g>'

    def node(self, placed: PlacedNode) -> str:
        node = placed.node
        if node.kind in ("entry", "exit"):
            if not node.is_reachable:
                return ""
            at = f'cx="{number(placed.axis)}" cy="{number(placed.area.y + 5)}"'
            return f'<circle aria-hidden="true" {at} r="5" {_dot(node.kind)}/>'
        told = f'<g role="graphics-symbol" aria-label="{escaped(self.spoken(node))}" data-step="{escaped(node.id)}">'
        told += f"<title>{escaped(self.spoken(node))}</title>"
        if not node.is_step and node.kind != "undo":
            return told + self.terminal(placed) + "</g>"
        if not node.sections:
            dashed = (
                ' stroke-dasharray="4 4"' if not node.is_reachable or self.status(node) == "skipped" else ""
            )
            width = ' stroke-width="2"' if node.id in self.statuses else ""
            told += _rect(
                placed.area, 10, f'fill="{_ink("surface")}" stroke="{self.border(node)}"{dashed}{width}'
            )
        return told + self.head(placed) + "</g>"

    def terminal(self, placed: PlacedNode) -> str:
        """Start and end."""
        area, colour = placed.area, _ink("ink")
        thick = 1.5 if placed.node.kind == "start" else 3
        filled = f'fill="{_ink("surface")}" stroke="{colour}" stroke-width="{thick}"'
        middle = area.x + area.width / 2
        name = _text(
            middle,
            area.y + area.height / 2 + 4.5,
            placed.node.name,
            TITLE,
            colour,
            'font-weight="600" text-anchor="middle"',
        )
        return _rect(area, area.height / 2, filled) + name

    def head(self, placed: PlacedNode) -> str:
        node, area = placed.node, placed.area
        kind = "task" if node.asks_somebody else node.kind
        colour = _ink(icons.accent(kind))
        x = area.x + 10
        y = area.y + (9 if not (node.detail or node.notes) else 15)
        out = _rect(Rectangle(x, y, 24, 24), 7, f'fill="{colour}" fill-opacity=".14"')
        out += _icon(icons.KINDS[kind], x + 4, y + 4, 16, colour)
        room = area.width - 50
        at = area.y + (23 if node.detail or node.notes else 25.5)
        out += _text(
            area.x + 42,
            at,
            fitted(node.name, TITLE, room, bold=True),
            TITLE,
            _ink("ink"),
            'font-weight="600"',
        )
        for line in (*([node.detail] if node.detail else []), *node.notes):
            at += 16
            out += _text(area.x + 42, at, fitted(line, SMALL, room), SMALL, _ink("muted"))
        if node.id in self.statuses:
            status = self.statuses[node.id]
            out += _icon(icons.STATUSES[status.status], area.x + 42, at + 4.5, 14, _ink(status.status), 2.2)
            out += _text(
                area.x + 60,
                at + STATUS_LINE - 2,
                status.text,
                SMALL,
                _ink(status.status),
                'font-weight="600"',
            )
        return out

    def border(self, node: Node) -> str:
        if node.id in self.statuses:
            return _ink(self.statuses[node.id].status)
        return _ink("fault") if node.kind in ("raise", "unknown") else _ink("line")

    def status(self, node: Node) -> str | None:
        found = self.statuses.get(node.id)
        return None if found is None else found.status

    def spoken(self, node: Node) -> str:
        parts = [node.name if not node.is_step else f"{node.name} ({node.kind})", node.detail, *node.notes]
        if node.id in self.statuses:
            parts.append(self.statuses[node.id].text)
        parts += self.leads.get(node.id, [])[:12]
        return "; ".join(part for part in parts if part)


def _ink(name: str) -> str:
    return f"var(--graph-{name},{_FALLBACK.get(name, 'currentColor')})"


def _dot(kind: str) -> str:
    return (
        f'fill="{_ink("edge")}"'
        if kind == "entry"
        else f'fill="{_ink("surface")}" stroke="{_ink("edge")}" stroke-width="2"'
    )


def _rect(area: Rectangle, radius: float, rest: str) -> str:
    place = f'x="{number(area.x)}" y="{number(area.y)}" width="{number(area.width)}" height="{number(area.height)}"'
    return f'<rect {place} rx="{number(radius)}" {rest}/>'


def _text(x: float, y: float, text: str, size: float, colour: str, rest: str = "") -> str:
    said = f' font-size="{size}"' if size != TITLE else ""
    said += f" {rest}" if rest else ""
    return f'<text x="{number(x)}" y="{number(y)}" fill="{colour}"{said}>{escaped(text)}</text>'


def _icon(path: str, x: float, y: float, size: float, colour: str, stroke: float = 1.9) -> str:
    return (
        f'<path transform="translate({number(x)} {number(y)}) scale({size / 24:.3f})" d="{path}" stroke="{colour}"'
        f' stroke-width="{stroke}" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"/>'
    )


def _arrow(path: Path, colour: str) -> str:
    """A head at the end of the line, in the direction in which it arrives."""
    *_, x, y = (float(value) for value in path[-1][1:])
    before = path[-1][3:5] if path[-1][0] == "C" else path[-2][-2:]
    dx, dy = x - float(before[0]), y - float(before[1])
    if abs(dx) > abs(dy):
        side = 1 if dx > 0 else -1
        points = ((x, y), (x - 7 * side, y - 4), (x - 7 * side, y + 4))
    else:
        side = 1 if dy >= 0 else -1
        points = ((x, y), (x - 4, y - 7 * side), (x + 4, y - 7 * side))
    drawn = "L".join(f"{number(px)} {number(py)}" for px, py in points)
    return f'<path d="M{drawn}z" fill="{colour}" stroke="none"/>'
