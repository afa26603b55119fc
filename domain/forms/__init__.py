"""Forms for people, drawn from a JSON Schema: every schema has one, in a browser without scripts too.

`form_of` turns a schema into fields, `filled_with` fills them from a value (or from the defaults), `read` turns
what a browser posted back into the value, with each problem at its field. Whatever no field can hold (free
members, alternatives between objects, recursion) is one text area for JSON, shown with its schema.

What is left empty is left out: an optional text, group or row nobody touched is absent from the value, never
an empty text. Repeated rows are numbered by their names; empty ones vanish, so the last ones serve as room.
"""

from .drawing import form_of
from .fields import ROOT, Field, Form, Kind, Option, Sent
from .filled import Filled
from .filling import filled_with
from .reading import read
from .wording import worded

__all__ = [
    "ROOT",
    "Field",
    "Filled",
    "Form",
    "Kind",
    "Option",
    "Sent",
    "filled_with",
    "form_of",
    "read",
    "worded",
]
