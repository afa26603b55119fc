"""A text that shall say something else and stay its author's: comments and order are kept where nothing changes."""

import io
from collections.abc import Mapping
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from domain.definitions.diff.fields import same
from domain.definitions.files import readable

#: Lines stay as long as their author made them.
_WIDTH: Final = 4_096


def retold(text: str, said: Mapping[str, Any]) -> str | None:
    """The YAML text, changed so far that it says `said`; None where that cannot be done.

    `text` was read strictly before. Whoever uses the answer reads it again: what YAML makes of it decides.
    """
    yaml = YAML(typ="rt")
    yaml.version = (1, 2)
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        tree = yaml.load(text)
        if not isinstance(tree, dict):
            return None
        _agree(tree, said)
        out = io.StringIO()
        yaml.dump(tree, out)
    except (
        YAMLError,
        RecursionError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        ArithmeticError,
        AssertionError,
    ):
        return None  # round trips of ruamel know cases that its strict reader does not
    return out.getvalue().removeprefix("%YAML 1.2\n---\n")


def _agree(tree: Any, said: Any) -> None:
    """Changes what differs, and leaves alone what does not: comments hang on the parts that stay."""
    if isinstance(tree, dict):
        for name in [each for each in tree if each not in said]:
            del tree[name]
        for name, value in said.items():
            if name not in tree or not _within(tree[name], value):
                tree[name] = readable(value)
        return
    for place, value in enumerate(said):
        if place >= len(tree):
            tree.append(readable(value))
        elif not _within(tree[place], value):
            tree[place] = readable(value)
    del tree[len(said) :]


def _within(tree: Any, value: Any) -> bool:
    """Whether the part says it already, or could be made to."""
    are_objects = isinstance(tree, dict) and isinstance(value, dict)
    if are_objects or (isinstance(tree, list) and isinstance(value, list)):
        _agree(tree, value)
        return True
    return not isinstance(value, dict | list) and same(_plain(tree), value)


def _plain(value: Any) -> Any:
    """What ruamel's own scalars stand for."""
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value
