"""Invariant 3, counted where effects arrive: at the partner, in the mailbox, in the tables."""

import email
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from tests.factories.invariants import Violation
from tests.faults.definitions import ROUNDS
from tests.faults.sent import Sent
from workers.devstack.stack import Stack

#: Which effects an execution of a kind leaves: at the partner (step, round), and as rows of clients.
AT_PARTNER = {
    "mixed": {("tell", str(round)) for round in range(1, ROUNDS + 1)},
    "paused": {("tell", str(round)) for round in range(1, ROUNDS + 1)},
    "approval": {("confirm", "1")},
    "hooked": {("confirm", "1")},
    "asked": {("confirm", "1")},
    "escalated": {("confirm", "1")},
    "evented": {("confirm", "1")},
    "scheduled": {("confirm", "1")},
    "once": {("pay", "1")},
    "slow": {("report", "1")},
}
CLIENTS = {
    "mixed": 1,
    "approval": 1,
    "segment": ROUNDS,
    "signalled": 1,
    "paused": 1,
    "failing": 1,
    "evented": 1,
    "probe": 1,
}

#: These write to somebody.
WRITING = {"mixed", "escalated"}
_ABOUT_A_TASK = re.compile(r"Look\s+at\s+(\S+)")

Statuses = Mapping[str, str]


def partner_effects(stack: Stack, sent: Sequence[Sent], statuses: Statuses) -> list[Violation]:
    """At most one accepted effect for each step; exactly one where the step succeeded. `statuses` by `n`."""
    accepted: defaultdict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in Path(stack.files["echo_ledger"]).read_text().splitlines():
        entry = json.loads(line)
        body = entry["body"]
        accepted[body["n"], body["step"], str(body["round"])].append(entry)
    found = []
    for (n, step, round), entries in accepted.items():
        keys = {entry["idempotency_key"] for entry in entries}
        bodies = {entry["body_sha256"] for entry in entries}
        if len(keys) > 1 or len(bodies) > 1:
            found.append(
                Violation(3, n, f"{step} {round} arrived with {len(keys)} keys, {len(bodies)} bodies")
            )
        if step == "pay" and len(entries) > 1:
            found.append(Violation(3, n, f"an irreversible call arrived {len(entries)} times"))
    for each in sent:
        wanted = AT_PARTNER.get(each.kind, set()) if statuses.get(each.n) == "completed" else set()
        for step, round in wanted:
            if (each.n, step, round) not in accepted:
                found.append(Violation(3, each.n, f"{step} {round} succeeded and never arrived"))
    return found


def mail_effects(stack: Stack, sent: Sequence[Sent], statuses: Statuses) -> list[Violation]:
    """A repeat after a crash is the same message: one Message-ID for each execution that wrote."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for file in (Path(stack.files["mail"]) / "new").iterdir():
        message = email.message_from_bytes(file.read_bytes())
        # What tasks mail to people is told apart by their titles.
        about = _ABOUT_A_TASK.search(message["Subject"] or "")
        ids[about[1] if about else message["To"].partition("@")[0]].add(message["Message-ID"])
    found = [
        Violation(3, n, f"wrote {len(those)} different messages")
        for n, those in ids.items()
        if len(those) > 1
    ]
    for each in sent:
        if each.kind in WRITING and statuses.get(each.n) == "completed" and each.n not in ids:
            found.append(Violation(3, each.n, "wrote a message that never arrived"))
    return found


async def row_effects(admin: asyncpg.Connection, sent: Sequence[Sent], statuses: Statuses) -> list[Violation]:
    """Rows written by built-ins: as many as steps succeeded, however often their segment was repeated."""
    counts: defaultdict[str, int] = defaultdict(int)
    names: set[str] = set()
    found = []
    for row in await admin.fetch("SELECT name FROM clients WHERE name LIKE 'Client %'"):
        n = row["name"].split()[1]
        counts[n] += 1
        if row["name"] in names:
            found.append(Violation(3, n, f"'{row['name']}' was created twice"))
        names.add(row["name"])
    for each in sent:
        ended = statuses.get(each.n) in ("completed", "failed")
        if ended and each.kind in CLIENTS and counts[each.n] != CLIENTS[each.kind]:
            found.append(Violation(3, each.n, f"{each.kind} created {counts[each.n]} clients"))
    open_effects = await admin.fetch(
        "SELECT e.execution_id, e.occurrence, e.status FROM effects e JOIN workflow_executions x"
        " ON x.id = e.execution_id WHERE e.status = 'started' AND x.status = 'completed'"
    )
    found += [
        Violation(3, str(row["execution_id"]), f"completed, and {row['occurrence']} is still {row['status']}")
        for row in open_effects
    ]
    return found
