"""The draft of a workflow as the text its author edits, with the author's own comments and order.

What is stored is a value, which has neither. So the text is kept beside it, where editors keep how they show a
workflow (`layout`), and counts for as long as it says what the draft says.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from domain.definitions import files
from domain.definitions.diff.fields import same
from domain.definitions.documents import Unreadable
from domain.definitions.files import FIELDS, WorkflowText, as_text
from domain.definitions.retelling import retold
from domain.definitions.writing_order import in_order
from domain.errors import Invalid, Problem

#: In `layout`; steps are there by pointer or name, and no pointer begins so.
TEXT: Final = "#text"
#: A longer text is not kept: `layout` has its bounds too.
LONGEST: Final = 200_000
#: What an author edits as a text, in the order in which it is written; the rest has fields of its own.
_EDITED: Final = ("name", "triggers", "variables", "actions", "definition")


def text_of(draft: Mapping[str, Any]) -> str:
    """The text as it was written, or one that says the same as `draft`, which holds the columns of a workflow."""
    written = written_text(draft)
    if written is not None:
        return written
    if not any(draft[name] for name in ("triggers", "variables", "actions")):
        return as_text(in_order(draft["definition"]))
    parts = {name: draft[name] for name in _EDITED}
    return as_text(
        {name: part for name, part in parts.items() if name in ("name", "definition") or part != FIELDS[name]}
    )


def written_text(draft: Mapping[str, Any]) -> str | None:
    """The author's text, made to say what has changed by other ways; None where there is none that can be."""
    kept = _kept(draft.get("layout") or {})
    if kept is None or _says(kept, draft):
        return kept
    again = _retold(kept, draft)
    return again if again is not None and _says(again, draft) else None


def _kept(layout: Mapping[str, Any]) -> str | None:
    text = layout.get(TEXT)
    return text if isinstance(text, str) else None


def _retold(text: str, draft: Mapping[str, Any]) -> str | None:
    """The text, made to say what has changed since by other ways than the text."""
    found = files.read(text)
    if found.is_bare:
        return retold(text, draft["definition"])
    told = {name: draft[name] for name in found.parts if name in draft and name != "layout"}
    more = {name: draft[name] for name in _EDITED if draft[name] and name not in told}
    return retold(text, {**dict(found.parts), **told, **more})


def _says(text: str, draft: Mapping[str, Any]) -> bool:
    try:
        found = files.read(text)
    except Unreadable:
        return False
    said = {name: FIELDS[name] for name in ("triggers", "variables", "actions")} | dict(found.parts)
    return not found.problems and all(
        same(said[name], draft[name]) for name in said if name != "layout" and name in draft
    )


def values_of(text: str, layout: Mapping[str, Any]) -> dict[str, Any]:
    """What storing the text as the draft writes, over the `layout` it has. Raises Invalid, with every place.

    A bare document says nothing of what stands beside the definition, a whole one leaves out what is empty; name,
    description, category and layout stay as they are unless the text says them, or said them when it was kept: what
    its author takes out of it is gone.
    """
    try:
        found = files.read(text)
    except Unreadable as error:
        problem = Problem("#/text", error.message, "Mend the text there.", error.reason)
        raise Invalid("This text is neither YAML nor JSON.", problems=[problem]) from None
    if found.problems:
        raise Invalid(
            "This text is no workflow.", problems=[_located(found, each) for each in found.problems]
        )
    beside = {} if found.is_bare else {name: FIELDS[name] for name in ("triggers", "variables", "actions")}
    if not found.is_bare:
        beside |= {name: FIELDS[name] for name in _said(_kept(layout)) if name not in ("name", "definition")}
    values = {**beside, **found.parts}
    return {**values, "layout": keeping(values.get("layout", layout), text)}


def _said(text: str | None) -> Collection[str]:
    """What a text says of a workflow."""
    try:
        return () if text is None else files.read(text).parts.keys()
    except Unreadable:
        return ()


def keeping(layout: Mapping[str, Any], text: str | None) -> dict[str, Any]:
    """The layout with the text as it was written, unless there is none or it is too long to be kept."""
    if text is None or len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        return places(layout)
    return {**places(layout), TEXT: text}


def places(layout: Mapping[str, Any]) -> dict[str, Any]:
    """The layout as it is shown: without the text, which is read and written by itself."""
    return {name: place for name, place in layout.items() if name != TEXT}


def _located(found: WorkflowText, problem: Problem) -> Problem:
    line, column = found.document.locate(problem.pointer)
    told = f"Line {line}, column {column}: {problem.message}"
    return Problem("#/text", told, problem.suggestion, problem.code)
