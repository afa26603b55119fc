"""Rendering: Jinja with autoescape on, undefined names refused, templates beside this file."""

import re
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from api.console.frame.links import linked
from api.console.frame.wording import begun_by, field_of, for_people, moment, shape_of

#: Where pages lie, each in the folder of its slice.
HERE = Path(__file__).parents[1]
environment = Environment(
    loader=FileSystemLoader(HERE),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def with_code(text: str) -> Markup:
    """The text, escaped, with what stands between backticks set as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped before it is marked up


_CODE = re.compile("`([^`]+)`")
environment.filters["with_code"] = with_code
environment.filters["linked"] = linked
environment.filters["begun_by"] = begun_by
environment.filters["field_of"] = field_of
environment.filters["for_people"] = for_people
environment.globals["moment"] = moment
environment.globals["shape_of"] = shape_of


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(environment.get_template(template).render(**values), status)
