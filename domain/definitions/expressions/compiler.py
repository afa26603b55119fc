"""From the syntax tree to closures that yield values: which form of the language is compiled where."""

from . import calls, forms_access, forms_flow, forms_names, forms_values, paths, updates
from .nodes import Node
from .scope import Compiler, Scope
from .syntax import Tree


def compile_tree(tree: Tree, scope: Scope) -> Node:
    """Return a compiled filter; raises ExpressionError for unknown names."""
    return _FORMS[tree[0]](tree, scope)


def _identity(_tree: Tree, _scope: Scope) -> Node:
    return Node(1, lambda value, env: value, None, lambda: paths.identity)


_FORMS: dict[str, Compiler] = {
    "identity": _identity,
    **forms_access.FORMS,
    **forms_flow.FORMS,
    **forms_names.FORMS,
    **forms_values.FORMS,
    "call": calls.compile_call,
    "assign": updates.compile_assignment,
}
