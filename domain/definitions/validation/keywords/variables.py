"""Names that a definition gives to variables."""

import re
from collections.abc import Mapping
from typing import Any, Final

from domain.definitions.model import (
    RESERVED_VARIABLES,
)
from domain.definitions.pointers import join
from domain.definitions.validation.report import Report, shown

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)


def check_variable(report: Report, at: str, loop: Mapping[str, Any], field: str, default: str) -> str | None:
    name = report.text(join(at, field), loop.get(field, default), f"`{field}`")
    if name is None:
        return None
    if not _VARIABLE.fullmatch(name):
        message = f"`{shown(name)}` cannot be the name of a variable."
        report.add(join(at, field), "bad_name", message, "Use letters, digits and underscores, without `$`.")
        return None
    if name in RESERVED_VARIABLES:
        message = f"`${name}` has a meaning of its own everywhere."
        report.add(join(at, field), "reserved_name", message, "Choose another name.")
        return None
    return name
