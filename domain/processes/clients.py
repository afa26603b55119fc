"""Importing and exporting clients and contacts, part after part: the rows travel through the database alone."""

from typing import Any, Final

from domain.processes import NAMESPACE, Process


def _in_parts(name: str, call: str, finish: str) -> dict[str, Any]:
    """Input: {"transfer": id, "parts": how many}. Progress moves with each part."""
    transfer = "${ $workflow.input.transfer }"
    return {
        "document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": name, "version": "1.0.0"},
        "do": [
            {
                "parts": {
                    "for": {"each": "number", "in": "${ [range($workflow.input.parts)] }"},
                    "do": [
                        {"part": {"call": call, "with": {"transfer": transfer, "number": "${ $number }"}}}
                    ],
                }
            },
            {"finish": {"call": finish, "with": {"transfer": transfer}}},
        ],
    }


CLIENT_IMPORT: Final = Process(
    name="client-import",
    kind="client_import",
    title="Import clients or contacts",
    document=_in_parts("client-import", "transfer.import_part", "transfer.finish"),
)
CLIENT_EXPORT: Final = Process(
    name="client-export",
    kind="client_export",
    title="Export clients or contacts",
    document=_in_parts("client-export", "transfer.export_part", "transfer.finish"),
)
