"""Every kind of execution whose history is kept: what it runs, and what happens to it meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.workflows.engine import Engine
from tests.workflows.mail import send

#: What happens to it meanwhile; answers the id of the execution whose histories are kept, if it is another one.
Play = Callable[[Engine, str], Awaitable[str | None]]

ASK: dict[str, Any] = {"call": "approve", "with": {"title": "Go on?"}}
NAP: dict[str, Any] = {"wait": {"milliseconds": 50}}
NEVER: dict[str, Any] = {"wait": {"hours": 1}}
OOPS: dict[str, Any] = {"set": '${ 1 + "a" }'}


@dataclass(frozen=True)
class Kind:
    do: list[dict[str, Any]]
    play: Play | None = None
    input: dict[str, Any] = field(default_factory=dict)
    #: Parts of the document beside `do`.
    document: dict[str, Any] = field(default_factory=dict)
    #: Published beforehand, under their names.
    others: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ends: str = "completed"


def line(text: str) -> dict[str, Any]:
    return {"call": "data.template", "with": {"text": text}}


def listen(type: str, **more: Any) -> dict[str, Any]:
    return {"listen": {"to": {"one": {"with": {"type": type}}}}, **more}


def fork(*branches: dict[str, Any], compete: bool = False) -> dict[str, Any]:
    named = [{f"branch {number}": branch} for number, branch in enumerate(branches, 1)]
    return {"fork": {"branches": named, "compete": compete}}


def guarded(step: dict[str, Any], **catch: Any) -> dict[str, Any]:
    return {"try": [{"inner": step}], "catch": catch or {"do": [{"caught": {"set": "${ $error.status }"}}]}}


def within(milliseconds: int, step: dict[str, Any]) -> dict[str, Any]:
    return {**step, "timeout": {"after": {"milliseconds": milliseconds}}}


def undoing(step: dict[str, Any], undo: dict[str, Any]) -> dict[str, Any]:
    return {**step, "metadata": {"compensate": undo}}


async def decide(engine: Engine, id: str) -> None:
    row = await engine.until(id, lambda row: "task_id" in (row["waiting_on"] or {}))
    await engine.post(f"/v1/tasks/{row['waiting_on']['task_id']}/decision", {"outcome": "approved"})


async def cancel(engine: Engine, id: str) -> None:
    await engine.waiting(id)
    await engine.post(f"/v1/executions/{id}/cancel", {})


async def pause_and_decide(engine: Engine, id: str) -> None:
    wait = (await engine.waiting(id))["waiting_on"]
    await engine.post(f"/v1/executions/{id}/pause", None)
    await engine.until(id, lambda row: row["status"] == "paused")
    await engine.post(f"/v1/tasks/{wait['task_id']}/decision", {"outcome": "approved"})
    await asyncio.sleep(0.2)
    await engine.post(f"/v1/executions/{id}/resume", None)


def hears(*types: str) -> Play:
    async def play(engine: Engine, id: str) -> None:
        await engine.waiting(id)
        for type in types:
            await engine.post(f"/v1/executions/{id}/signal", {"type": type, "data": {"n": 1}})
            await asyncio.sleep(0.1)

    return play


async def decide_and_pay(engine: Engine, id: str) -> None:
    await decide(engine, id)
    await hears("paid")(engine, id)


async def noise(engine: Engine, id: str) -> None:
    """So much that the execution continues as new while it waits."""
    await engine.waiting(id)
    for _ in range(25):
        await engine.post(f"/v1/executions/{id}/signal", {"type": "noise", "id": str(uuid4())})
        await asyncio.sleep(0.05)
    await decide(engine, id)


async def rerun(engine: Engine, id: str) -> str:
    """From where it failed: another branch is under way there and begins again."""
    await engine.ended(id)
    plan = await engine.post(f"/v1/executions/{id}/rerun-plan", {})
    confirmed = {"confirm": plan["digest"], "confirm_irreversible": True}
    return str((await engine.post(f"/v1/executions/{id}/rerun", confirmed))["id"])


KINDS: dict[str, Kind] = {
    "built-ins": Kind([{f"line {number}": line(str(number))} for number in range(5)]),
    "plain-steps": Kind(
        [
            {"take": {"set": {"items": "${ .items }", "total": 0}, "export": {"as": "$context + {seen: 1}"}}},
            {
                "each": {
                    "for": {"in": ".items"},
                    "do": [{"add": {"set": {"items": [], "total": "${ .total + $item }"}}}],
                }
            },
            {
                "which": {
                    "switch": [{"many": {"when": ".total > 3", "then": "end"}}, {"few": {"then": "low"}}]
                }
            },
            {"low": {"set": {"low": True}}},
        ],
        input={"items": [1, 2, 3]},
    ),
    "fault": Kind([{"first": line("x")}, {"oops": OOPS}], ends="failed"),
    "fault-in-workflow-code": Kind([{"nap": NAP}, {"oops": OOPS}], ends="failed"),
    "raise": Kind(
        [{"no": {"raise": {"error": {"type": "https://example.com/no", "status": 418, "title": "No"}}}}],
        ends="failed",
    ),
    "costly": Kind([{f"compute {n}": {"set": "${ [range(9000)] | map(. * 2) | add }"}} for n in range(12)]),
    "timers": Kind([{"nap": NAP}, {"line": line("x")}, {"again": NAP}]),
    "approval": Kind([{"ask": ASK}, {"done": {"set": "${ .approved }"}}], decide),
    "approval-cancelled": Kind([{"ask": ASK}], cancel, ends="cancelled"),
    "approval-paused": Kind([{"ask": ASK}, {"line": line("x")}], pause_and_decide),
    "approval-over-several-runs": Kind([{"ask": ASK}, {"line": line("x")}], noise),
    "calls": Kind(
        [
            {
                "mail": {
                    **send("one"),
                    "output": {"as": "${ {sent: true} }"},
                    "export": {"as": "${ {mailed: 1} }"},
                }
            },
            {"again": send("two")},
            {"line": line("x")},
        ]
    ),
    "calls-over-several-runs": Kind([{"often": {"for": {"in": "[range(12)]"}, "do": [{"mail": send("n")}]}}]),
    "call-refused": Kind([{"mail": send("shy")}], ends="failed"),
    "retry": Kind(
        [
            {
                "insist": guarded(
                    send("shy"), retry={"delay": {"milliseconds": 100}, "limit": {"attempt": {"count": 3}}}
                )
            }
        ]
    ),
    "catch": Kind([{"careful": guarded(send("shy"))}, {"line": line("x")}]),
    "listen": Kind([{"hear": listen("paid")}, {"line": line("x")}], hears("opened", "paid")),
    "listen-for-each": Kind(
        [
            {
                "hear": {
                    "listen": {"to": {"any": [{"with": {"type": "paid"}}], "until": "${ length >= 2 }"}},
                    "foreach": {"item": "event", "do": [{"mail": send("heard")}, {"line": line("x")}]},
                }
            }
        ],
        hears("paid", "paid"),
    ),
    "emit": Kind(
        [
            {"tell": {"emit": {"event": {"with": {"type": "told", "data": {"n": 1}}}}}},
            {"hear": listen("told")},
        ]
    ),
    "fork": Kind(
        [
            {
                "all": fork(
                    send("one"),
                    {"do": [{"a": line("a")}, {"b": line("b")}, {"mail": send("two")}]},
                    {"do": [{"nap": NAP}, {"c": line("c")}]},
                    line("d"),
                )
            }
        ]
    ),
    "fork-waiting": Kind([{"all": fork(ASK, NAP, listen("paid"))}], decide_and_pay),
    "fork-over-several-runs": Kind(
        [{"all": fork(*({"for": {"in": "[range(7)]"}, "do": [{"mail": send("n")}]} for _ in range(2)), ASK)}],
        decide,
    ),
    "fork-failing": Kind([{"all": fork(ASK, {"do": [{"nap": NAP}, {"oops": OOPS}]}, NEVER)}], ends="failed"),
    "race": Kind(
        [{"race": fork(send("slow"), ASK, {"do": [{"nap": NAP}, {"won": line("x")}]}, compete=True)}]
    ),
    "timeout-caught": Kind([{"ask": guarded(within(300, ASK))}, {"line": line("x")}]),
    "timeout-of-a-call": Kind([{"mail": guarded(within(500, send("slow")))}]),
    "timed-out": Kind([{"ask": ASK}], document={"timeout": {"after": {"seconds": 1}}}, ends="timed_out"),
    "compensation-after-a-fault": Kind(
        [
            {"note": undoing(line("x"), line("undone"))},
            {"mail": undoing(send("one"), send("two"))},
            {"oops": OOPS},
        ],
        ends="failed",
    ),
    "compensation-after-cancelling": Kind(
        [
            {"note": undoing(line("x"), line("undone"))},
            {"mail": undoing(send("one"), send("two"))},
            {"ask": ASK},
        ],
        cancel,
        ends="cancelled",
    ),
    "rerun": Kind(
        [
            {"one": {**send("one"), "export": {"as": "{one: 1}"}}},
            {
                "all": fork(
                    {"do": [{"nap": NAP}, {"mail": send("two")}]},
                    {"do": [{"wait": {"wait": {"seconds": 1}}}, {"shy": send("shy")}]},
                    ASK,
                )
            },
            {"line": line("x")},
        ],
        rerun,
        ends="failed",
    ),
    "run-a-workflow": Kind(
        [{"sub": {"run": {"workflow": {"namespace": "tests", "name": "other", "version": "latest"}}}}],
        others={"other": [{"nap": NAP}, {"line": line("x")}]},
    ),
    "run-a-workflow-stopped": Kind(
        [
            {
                "sub": guarded(
                    within(
                        700,
                        {"run": {"workflow": {"namespace": "tests", "name": "other", "version": "latest"}}},
                    )
                )
            }
        ],
        others={"other": [{"ask": ASK}]},
    ),
}
