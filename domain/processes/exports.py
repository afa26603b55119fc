"""Exporting an organization: one step that reads one moment, tried again a few times."""

from typing import Final

from domain.processes import NAMESPACE, Process

_WITH: Final = {"id": "${ $workflow.input.export_id }"}

#: Input: {"export_id"}.
EXPORT: Final = Process(
    name="export-organization",
    kind="organization_export",
    title="Export the organization",
    document={
        "document": {
            "dsl": "1.0.3",
            "namespace": NAMESPACE,
            "name": "export-organization",
            "version": "1.0.0",
        },
        "do": [
            {
                "write": {
                    "try": [{"export": {"call": "export.write", "with": _WITH}}],
                    "catch": {
                        "retry": {
                            "delay": {"seconds": 30},
                            "backoff": {"exponential": {}},
                            "limit": {"attempt": {"count": 4}},
                        },
                        "do": [{"giveUp": {"call": "export.fail", "with": _WITH}}],
                    },
                }
            }
        ],
    },
)
