"""A definition as nodes and edges, laid out and drawn: `project`, then `lay_out`, then `as_json` or `draw`.

Everything is derived from the document alone, so the same document is always drawn alike. `positioned` gives
precedence to the places that people have chosen in an editor.
"""

from .layout import Laid, lay_out
from .model import Edge, EdgeKind, Graph, Node, Section
from .plain import as_json
from .positions import positioned
from .projection import project
from .svg import STYLE, STYLE_HASH, Status, draw

__all__ = [
    "STYLE",
    "STYLE_HASH",
    "Edge",
    "EdgeKind",
    "Graph",
    "Laid",
    "Node",
    "Section",
    "Status",
    "as_json",
    "draw",
    "lay_out",
    "positioned",
    "project",
]
