"""Erasing an organization, and a person with the organizations that are theirs alone.

Both run in the platform's own organization and hold nothing but ids: they outlive what they erase. The order is the
point: nobody enters, nothing runs, nothing is stored; then the keys go, which made the rest readable; at last the row.
"""

from typing import Any, Final

from domain.processes import NAMESPACE, Process

Steps = list[dict[str, Any]]
#: What fails is tried again for about two weeks, ever more slowly. A storage or a Temporal that is away costs no
#: attempt: steps wait for those by themselves.
_RETRY: Final = {"delay": {"seconds": 30}, "backoff": {"linear": {}}, "limit": {"attempt": {"count": 280}}}


def _until_done(name: str, call: str, arguments: dict[str, str], more: str = "${ .is_done | not }") -> Steps:
    """Call it again and again: each call works for some seconds."""
    return [
        {name: {"call": call, "with": arguments, "output": {"as": "${ . }"}}},
        {
            f"{name}Again": {
                "switch": [{"more": {"when": more, "then": name}}, {"enough": {"then": "continue"}}],
            }
        },
    ]


def _rows(id: str) -> Steps:
    """Table by table: progress moves with each."""
    return [
        *_until_done("loosen", "erasure.loosen", {"id": id}),
        {"plan": {"call": "erasure.plan", "with": {"id": id}}},
        {
            "tables": {
                "for": {"each": "target", "in": "${ .targets }"},
                "do": _until_done(
                    "rows",
                    "erasure.delete_rows",
                    {"id": id, "table": "${ $target.table }", "column": "${ $target.column }"},
                ),
            }
        },
    ]


def _organization(id: str) -> Steps:
    return [
        {"stop": {"call": "erasure.stop", "with": {"id": id}}},
        # Requests that were let in before end, and starts they had accepted arrive.
        {"settle": {"wait": "${ $workflow.input.settle }"}},
        {"executions": {"call": "erasure.end_executions", "with": {"id": id}}},
        {
            "executionsAgain": {
                "switch": [
                    {"more": {"when": "${ .open > 0 }", "then": "breathe"}},
                    {"enough": {"then": "objects"}},
                ]
            }
        },
        {"breathe": {"wait": {"seconds": 1}, "then": "executions"}},
        *_until_done("objects", "erasure.delete_objects", {"id": id}),
        *_rows(id),
        *_until_done("shred", "erasure.shred", {"id": id}),
        *_told(id),
        {"finish": {"call": "erasure.finish", "with": {"id": id}}},
    ]


def _told(id: str) -> Steps:
    """A mail that cannot be sent keeps nothing."""
    tell = {"tell": {"call": "erasure.tell", "with": {"id": id}}}
    return [{"mail": {"try": [tell], "catch": {"do": [{"untold": {"set": {"is_sent": False}}}]}}}]


def _insisting(do: Steps) -> dict[str, Any]:
    """From the beginning again: every step finds what is done already."""
    return {"try": do, "catch": {"retry": _RETRY}}


def _document(name: str, erase: Steps) -> dict[str, Any]:
    return {
        "document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": name, "version": "1.0.0"},
        "do": [
            {"grace": {"if": "${ .grace_seconds > 0 }", "wait": '${ "PT\\(.grace_seconds)S" }'}},
            {"begin": {"call": "erasure.begin", "with": {"id": "${ $workflow.input.erasure_id }"}}},
            # Timers follow Temporal's clock, the moment is told by ours: whichever is behind decides.
            {
                "due": {
                    "switch": [
                        {"early": {"when": "${ .seconds_left > 0 }", "then": "patience"}},
                        {"now": {"then": "calledOff"}},
                    ]
                }
            },
            {"patience": {"wait": '${ "PT\\(.seconds_left)S" }', "then": "begin"}},
            {
                "calledOff": {
                    "switch": [
                        {"no": {"when": "${ .goes_on }", "then": "continue"}},
                        {"yes": {"then": "end"}},
                    ]
                }
            },
            *erase,
        ],
    }


_OWN: Final = "${ $workflow.input.erasure_id }"

#: Input of both: {"erasure_id", "grace_seconds", "settle": a duration}.
ERASE_ORGANIZATION: Final = Process(
    name="erase-organization",
    kind="organization_erasure",
    title="Erase an organization",
    document=_document("erase-organization", [{"erase": _insisting(_organization(_OWN))}]),
)

ERASE_USER: Final = Process(
    name="erase-user",
    kind="user_erasure",
    title="Erase a person",
    document=_document(
        "erase-user",
        [
            {
                "organizations": {
                    "for": {"each": "part", "in": "${ .parts }"},
                    "do": [{"organization": _insisting(_organization("${ $part }"))}],
                }
            },
            {
                "person": _insisting(
                    [*_told(_OWN), *_rows(_OWN), {"finish": {"call": "erasure.finish", "with": {"id": _OWN}}}]
                )
            },
        ],
    ),
)
