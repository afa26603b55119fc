"""Every kind of execution whose history is kept: what it runs, and what happens to it meanwhile."""

from tests.replay.kinds_processes import PROCESSES
from tests.replay.kinds_starts import STARTS
from tests.replay.kinds_tasks import TASKS
from tests.replay.plays import cancel, decide, decide_and_pay, hears, noise, pause_and_decide, rerun
from tests.replay.scene import (
    ASK,
    NAP,
    NEVER,
    OOPS,
    Kind,
    fork,
    guarded,
    line,
    listen,
    sure,
    undoing,
    within,
)
from tests.workflows.mail import send

STEPS: dict[str, Kind] = {
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
#: How the language's remaining parts come to workflow code.
PARTS: dict[str, Kind] = {
    "function": Kind(
        [
            {"nap": NAP},
            {"twice": {"call": "double", "with": {"n": 21}, "output": {"as": "{got: .}"}}},
            {"sure": sure(".got == 42")},
        ],
        document={"use": {"functions": {"double": {"set": {"n": "${ .n * 2 }"}, "output": {"as": ".n"}}}}},
    ),
    "extensions": Kind(
        [{"say": {"set": {"said": True}}}, {"sure": sure(".said")}],
        document={
            "use": {
                "extensions": [
                    {"around": {"extend": "set", "before": [{"nap": NAP}], "after": [{"nap": NAP}]}}
                ]
            }
        },
    ),
    "too-large": Kind(
        [
            {"nap": NAP},
            *({f"grow{n}": {"set": {"a": '${ "x" * 120000 }'}}} for n in range(9)),
            {"line": line("${ [" + ", ".join(f"$steps.grow{n}.a[:1]" for n in range(9)) + "] | add }")},
        ],
        ends="failed",
    ),
}
KINDS: dict[str, Kind] = {**STEPS, **PARTS, **TASKS, **STARTS, **PROCESSES}
