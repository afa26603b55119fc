"""Cancelling or repeating many executions: part after part, each of its executions in a transaction of its own."""

from typing import Final

from domain.processes import NAMESPACE, Process

#: Input: {"operation": id, "parts": how many}. Progress moves with each part; cancelled, it leaves the rest as it is.
BULK: Final = Process(
    name="bulk-operation",
    kind="bulk_operation",
    title="Act on many executions",
    document={
        "document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": "bulk-operation", "version": "1.0.0"},
        "do": [
            {
                "parts": {
                    "for": {"each": "number", "in": "${ [range($workflow.input.parts)] }"},
                    "do": [
                        {
                            "part": {
                                "call": "bulk.part",
                                "with": {
                                    "operation": "${ $workflow.input.operation }",
                                    "number": "${ $number }",
                                },
                            }
                        }
                    ],
                }
            },
            {"finish": {"call": "bulk.finish", "with": {"operation": "${ $workflow.input.operation }"}}},
        ],
    },
)
