"""The workflows under fire: between them every way in which a step may leave its mark."""

from datetime import UTC, datetime, timedelta
from typing import Any

#: How often each kind is triggered in proportion.
WEIGHTS = {
    "mixed": 3,
    "approval": 2,
    "segment": 2,
    "hooked": 3,
    "signalled": 2,
    "paused": 2,
    "cancelled": 2,
    "once": 1,
    "slow": 1,
    "failing": 1,
    "asked": 1,
    "overdue": 2,
    "escalated": 1,
    "evented": 2,
    "scheduled": 2,
    "bulked": 2,
}
#: What an execution of this kind may end as, whatever happened to the machines.
ENDS = {
    "mixed": {"completed"},
    "approval": {"completed"},
    "segment": {"completed"},
    "hooked": {"completed"},
    "signalled": {"completed"},
    "paused": {"completed"},
    # An irreversible call whose answer was lost is for a person to look up: it may end as a failure.
    "once": {"completed", "failed"},
    "slow": {"completed"},
    "failing": {"failed"},
    "cancelled": {"cancelled"},
    "asked": {"completed"},
    "overdue": {"completed"},
    "escalated": {"completed"},
    "evented": {"completed"},
    "scheduled": {"completed"},
    "bulked": {"cancelled"},
    "probe": {"completed"},
}
ROUNDS = 3
#: The type of events that start executions.
TOLD = "faults.told"
#: Where the schedule ended; a schedule's past may be started for ninety days.
LONG_AGO = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)


def triggers(kind: str, canary: str) -> list[dict[str, Any]]:
    """What starts executions of this kind beside the API. The schedule has ended: people start its past."""
    clock = {"cron": "* * * * *", "end_at": LONG_AGO.isoformat(), "input": {"canary": canary}}
    configurations: dict[str, dict[str, Any]] = {
        "hooked": {"type": "webhook", "configuration": {"scheme": "standard-webhooks"}},
        "evented": {"type": "event", "configuration": {"type": TOLD}},
        "scheduled": {"type": "schedule", "configuration": clock},
    }
    return [{"name": "orders", **configurations[kind]}] if kind in configurations else []


def definition(kind: str, partner: str) -> dict[str, Any]:
    """`partner` is the address of the partner system, reached through its proxy."""
    header = {"dsl": "1.0.3", "namespace": "faults", "name": kind, "version": "1.0.0"}
    return {"document": header, "do": _STEPS[kind](partner)}


def _create(name: str = "Client ${ $workflow.input.n }") -> dict[str, Any]:
    arguments = {"name": name, "company_name": "${ $workflow.input.canary }"}
    return {"create": {"call": "client.create", "with": arguments, "output": {"as": "{id}"}}}


def _tell(
    partner: str, step: str, *, idempotent: bool = True, round: str = "1", n: str = "$workflow.input.n"
) -> Any:
    body = {
        "n": f"${{ {n} }}",
        "step": step,
        "round": f"${{ {round} }}",
        "canary": "${ $workflow.input.canary }",
    }
    arguments = {
        "method": "post",
        "endpoint": f"{partner}/records",
        "idempotent": idempotent,
        "headers": {"X-Partner-Token": "${ $secrets.partner }"},
        "body": body,
    }
    return {step: {"call": "http", "with": arguments}}


def _mixed(partner: str) -> list[Any]:
    mail = {
        "to": "${ $workflow.input.n }@example.com",
        "subject": "Client ${ $workflow.input.n }",
        "text": "Hello ${ $workflow.input.canary }",
    }
    return [
        {"number it": {"set": {"n": "${ .n }"}}},
        _create(),
        {"write": {"call": "email.send", "with": mail}},
        {"pause": {"wait": {"milliseconds": 300}}},
        {"repeat": {"for": {"in": "[1, 2, 3]"}, "do": [_tell(partner, "tell", round="$item")]}},
        _done(),
    ]


def _approval(partner: str) -> list[Any]:
    ask = {"title": "Take on ${ $workflow.input.n }?"}
    return [
        _create(),
        {"ask": {"call": "approve", "with": ask, "output": {"as": "{approved}"}}},
        _tell(partner, "confirm"),
        _done(),
    ]


def _segment(_: str) -> list[Any]:
    name = "Client ${ $workflow.input.n } ${ $item }"
    return [{"repeat": {"for": {"in": "[1, 2, 3]"}, "do": [_create(name)]}}, _done()]


def _once(partner: str) -> list[Any]:
    return [_tell(partner, "pay", idempotent=False), _done()]


def _slow(partner: str) -> list[Any]:
    """Long enough to be under way when something breaks."""
    reading = {"method": "get", "endpoint": f"{partner}/slow?ms=1500"}
    return [{"read": {"call": "http", "with": reading}}, _tell(partner, "report"), _done()]


def _failing(partner: str) -> list[Any]:
    """The partner refuses; to the organization that may not call loopback, the platform does."""
    asking = {"method": "get", "endpoint": f"{partner}/status/400"}
    return [_create(), {"ask": {"call": "http", "with": asking}}, _done()]


def _cancelled(_: str) -> list[Any]:
    return [_create(), {"rest": {"wait": {"hours": 1}}}, _done()]


def _signalled(_: str) -> list[Any]:
    """Hears two events; what it heard is its output."""
    listen = {"to": {"one": {"with": {"type": "document.received"}}}}
    return [
        _create(),
        {"first": {"listen": listen, "export": {"as": "$context + {first: .}"}}},
        {"second": {"listen": listen, "export": {"as": "$context + {second: .}"}}},
        {"done": {"set": {"first": "${ $context.first }", "second": "${ $context.second }"}}},
    ]


def _hooked(partner: str) -> list[Any]:
    return [_create(), _tell(partner, "confirm"), _done()]


def _paused(partner: str) -> list[Any]:
    rounds = {"for": {"in": "[1, 2, 3]"}, "do": [_tell(partner, "tell", round="$item")]}
    return [_create(), {"rest": {"wait": {"seconds": 1}}}, {"repeat": rounds}, _done()]


def _asked(partner: str) -> list[Any]:
    """Somebody fills in a form; what they wrote is its output."""
    form = {"type": "object", "required": ["word"], "properties": {"word": {"type": "string"}}}
    ask = {"title": "Who is ${ .n }?", "form": form, "arguments": {"canary": "${ .canary }"}}
    return [
        {"ask": {"call": "ask", "with": ask, "export": {"as": "{word: .data.word}"}}},
        _tell(partner, "confirm"),
        {"done": {"set": {"word": "${ $context.word }"}}},
    ]


def _overdue(_: str) -> list[Any]:
    """Nobody ever answers the first task; the second one's answer and its deadline come at about the same time."""
    never = {"title": "Nobody sees ${ $workflow.input.n }", "due": {"seconds": 1}, "on_overdue": "fail"}
    late = {"errors": {"with": {"status": 408}}, "do": [{"noted": {"set": {"late": True}}}]}
    race = {"title": "Race of ${ $workflow.input.n }", "due": {"seconds": 2}, "on_overdue": "reject"}
    return [
        {"guard": {"try": [{"never": {"call": "approve", "with": never}}], "catch": late}},
        {"race": {"call": "approve", "with": race, "output": {"as": "{outcome, overdue}"}}},
    ]


def _escalated(partner: str) -> list[Any]:
    """Of whom is asked there is nobody; the owner is mailed and decides."""
    ask = {
        "title": "Look at ${ $workflow.input.n }",
        "assignees": ["role:reviewer"],
        "due": {"hours": 1},
        "escalate": {"after": {"seconds": 1}, "to": ["role:owner"]},
    }
    return [{"ask": {"call": "approve", "with": ask}}, _tell(partner, "confirm"), _done()]


def _scheduled(partner: str) -> list[Any]:
    """A schedule's input is always the same: the nominal time tells its executions apart."""
    return [_tell(partner, "confirm", n='"at-" + $workflow.trigger.nominal_time')]


def _bulked(_: str) -> list[Any]:
    return [_create(), {"ask": {"call": "approve", "with": {"title": "Never"}}}, _done()]


def _probe(_: str) -> list[Any]:
    return [_create()]


def _done() -> dict[str, Any]:
    return {"done": {"set": {"n": "${ $workflow.input.n }", "done": True}}}


_STEPS = {
    "mixed": _mixed,
    "approval": _approval,
    "segment": _segment,
    "once": _once,
    "slow": _slow,
    "failing": _failing,
    "cancelled": _cancelled,
    "hooked": _hooked,
    "signalled": _signalled,
    "paused": _paused,
    "asked": _asked,
    "overdue": _overdue,
    "escalated": _escalated,
    "evented": _hooked,
    "scheduled": _scheduled,
    "bulked": _bulked,
    "probe": _probe,
}
