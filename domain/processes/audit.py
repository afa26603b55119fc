"""Exporting an organization's activity log, part after part: the lines travel through the database alone."""

from typing import Final

from domain.processes import NAMESPACE, Process

#: Lines that are written in one transaction. A log of more lines than this many parts hold has larger parts.
LINES_PER_PART: Final = 2_000
MOST_PARTS: Final = 500
#: The columns of a CSV export; every line of JSON Lines has them as members.
COLUMNS: Final = (
    "id",
    "created_at",
    "actor",
    "user_id",
    "action",
    "resource",
    "resource_id",
    "ip_address",
    "user_agent",
    "metadata",
)


def parts_of(lines: int) -> tuple[int, int]:
    """How many parts, of how many lines each."""
    size = max(LINES_PER_PART, -(-lines // MOST_PARTS))
    return max(1, -(-lines // size)), size


#: Input: {"export": id, "parts": how many, "lines": in each}. Progress moves with each part.
AUDIT_EXPORT: Final = Process(
    name="audit-export",
    kind="audit_export",
    title="Export the activity log",
    document={
        "document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": "audit-export", "version": "1.0.0"},
        "do": [
            {
                "parts": {
                    "for": {"each": "number", "in": "${ [range($workflow.input.parts)] }"},
                    "do": [
                        {
                            "part": {
                                "call": "audit.export_part",
                                "with": {
                                    "export": "${ $workflow.input.export }",
                                    "number": "${ $number }",
                                    "lines": "${ $workflow.input.lines }",
                                },
                            }
                        }
                    ],
                }
            },
            {"finish": {"call": "audit.finish_export", "with": {"export": "${ $workflow.input.export }"}}},
        ],
    },
)
