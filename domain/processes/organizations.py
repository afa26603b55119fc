"""What a deletion, or taking it back, means for executions that are under way."""

from typing import Any, Final

from domain.processes import NAMESPACE, Process


def _until_done(name: str) -> list[dict[str, Any]]:
    """Batch by batch, each in the transaction of its segment."""
    return [
        {name: {"call": "organization.settle", "with": {}}},
        {
            f"{name}Again": {
                "switch": [
                    {"more": {"when": "${ .is_done | not }", "then": name}},
                    {"enough": {"then": "continue"}},
                ]
            }
        },
    ]


#: Holds every execution of a deleted organization, or lets go of those of a restored one: whichever it is by then.
STANDSTILL: Final = Process(
    name="organization-standstill",
    kind="organization_standstill",
    title="Hold or release what is running",
    document={
        "document": {
            "dsl": "1.0.3",
            "namespace": NAMESPACE,
            "name": "organization-standstill",
            "version": "1.0.0",
        },
        "do": [
            *_until_done("settle"),
            # Starts that had been accepted before arrive.
            {"breathe": {"wait": {"seconds": 30}}},
            *_until_done("settleLate"),
        ],
    },
)
