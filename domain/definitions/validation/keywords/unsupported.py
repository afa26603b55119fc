"""Keywords of the DSL that this version refuses or does not run yet."""

from domain.definitions.model import (
    REFUSED_PROCESSES,
)
from domain.definitions.validation.expressions import Names
from domain.definitions.validation.report import Report

from .step import Step


def check_unsupported(report: Report, step: Step) -> Names:
    """The rest of the DSL: refused with the reason, or not there yet."""
    value = step.body[step.keyword]
    refused = [
        word
        for word in REFUSED_PROCESSES
        if step.keyword == "run" and isinstance(value, dict) and word in value
    ]
    for word in refused:
        report.refused(step.at("run", word), f"`run: {word}`", REFUSED_PROCESSES[word])
    if not refused:
        report.unsupported(step.at(step.keyword), f"`{step.keyword}`")
    return step.names
