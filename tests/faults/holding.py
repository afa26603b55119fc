"""Whether everything still holds after the blows, and what is needed to understand it where it does not."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from activities.performing import TRANSPORT_ATTEMPTS
from db.session import Database
from tests.factories.invariants import Violation, Watch, settled, violations
from tests.faults import leaks
from tests.faults.definitions import ENDS
from tests.faults.effects import Statuses, mail_effects, partner_effects, row_effects
from tests.faults.load import Load
from tests.faults.sending import accepted, insist
from tests.faults.sent import Sent
from tests.faults.timeline import Timeline
from workers.devstack.stack import Stack

QUOTED = 5
#: What an execution makes of an answer; `late` is one that came when the deadline had decided.
HEARD: dict[str, Callable[[str], object]] = {
    "asked": lambda said: {"word": said},
    "overdue": lambda said: (
        {"outcome": "rejected", "overdue": True} if said == "late" else {"outcome": said, "overdue": None}
    ),
}
_URN = re.compile(r"urn:uuid:[0-9a-f-]{36}")


class Holding:
    """Judges one rig's load; talks to the servers past the proxies."""

    def __init__(
        self, stack: Stack, load: Load, timeline: Timeline, database: Database, watch: Watch
    ) -> None:
        self._stack = stack
        self._load = load
        self._timeline = timeline
        self._database = database
        self._watch = watch

    async def verdict(self, deadline: float) -> list[str]:
        """Every broken invariant, explained; empty when all hold. The load must have ended."""
        sent = self._load.sent
        found = [Violation(1, "load", problem) for problem in self._load.problems]
        found += [Violation(8, "api", offence) for offence in self._offences()]
        await self._resolve(sent)
        try:
            await settled(self._database, deadline)
        except AssertionError as late:
            found.append(Violation(1, "deadline", str(late)))
        client = await Client.connect(self._stack.urls["temporal"])
        accepted = [id for each in sent for id in each.ids]
        found += await violations(self._database, client, accepted=accepted, watch=self._watch)
        admin = await asyncpg.connect(self._stack.admin_url)
        try:
            found += await self._rows(admin, sent)
            return [await self._explained(violation, admin, client) for violation in _distinct(found)]
        finally:
            await admin.close()

    def _offences(self) -> list[str]:
        callers = {id(house.caller): house.caller for house in self._load.houses}
        offences = [offence for caller in callers.values() for offence in caller.offences]
        return [
            f"{offence}{logged(Path(self._stack.files['logs']), offence)}" for offence in offences[:QUOTED]
        ] + (offences[QUOTED:])

    async def _resolve(self, sent: Sequence[Sent]) -> None:
        """A trigger of unknown outcome is asked about with its own key: it happened once, or happens now."""

        async def resolve(each: Sent) -> None:
            each.ids.append(await accepted(each, await insist(each)))
            await self._load.people.act(each)

        await asyncio.gather(*(resolve(each) for each in sent if each.gave_up and not each.ids))

    async def _rows(self, admin: asyncpg.Connection, sent: Sequence[Sent]) -> list[Violation]:
        found = []
        rows = {str(row["id"]): row for row in await admin.fetch("SELECT * FROM workflow_executions")}
        for each in sent:
            if len(set(each.ids)) > 1:
                found.append(Violation(1, each.n, f"one key was answered with {set(each.ids)}"))
        known, silenced = {id for each in sent for id in each.ids}, await _silenced(admin)
        strangers = {id for id, row in rows.items() if row["kind"] == "workflow"} - known
        found += [Violation(1, id, "is a row nobody was told of") for id in strangers]
        found += [
            Violation(1, id, f"a process ({row['kind']}) ended {row['status']}: {row['error_message']}")
            for id, row in rows.items()
            if row["kind"] != "workflow" and row["status"] != "completed" and id not in silenced
        ]
        statuses = {each.n: rows[each.ids[0]]["status"] for each in sent if each.ids and each.ids[0] in rows}
        for each in sent:
            if each.n in statuses and statuses[each.n] not in ENDS[each.kind]:
                row = rows[each.ids[0]]
                if row["status"] == "failed" and each.ids[0] in silenced:
                    continue
                said = f"{each.kind} ended {row['status']}: {row['error_message']}"
                found.append(Violation(1, each.ids[0], said))
        found += partner_effects(self._stack, sent, statuses)
        found += mail_effects(self._stack, sent, statuses)
        found += await row_effects(admin, sent, statuses)
        found += await self._heard(sent, statuses)
        found += await self._answered(sent, statuses)
        found += await reports(admin, sent)
        found += await leaks.rows(admin, self._load.houses)
        found += leaks.files(self._stack, self._load.houses)
        found += await _same_paths(admin, sent)
        return found

    async def _heard(self, sent: Sequence[Sent], statuses: Statuses) -> list[Violation]:
        """Each signal was heard once; two of them may overtake each other on their way."""
        found = []
        for each in sent:
            if each.kind == "signalled" and statuses.get(each.n) == "completed":
                answer = await each.house.caller.insist("GET", f"/v1/executions/{each.ids[0]}")
                output = answer.json()["output"]
                heard = sorted(event["serial"] for name in ("first", "second") for event in output[name])
                if heard != ["one", "two"]:
                    found.append(Violation(1, each.ids[0], f"heard {heard}"))
        return found

    async def _answered(self, sent: Sequence[Sent], statuses: Statuses) -> list[Violation]:
        """An execution went on with exactly the answer that a person was told is recorded."""
        found = []
        for each in sent:
            if each.said is None or statuses.get(each.n) != "completed":
                continue
            answer = await each.house.caller.insist("GET", f"/v1/executions/{each.ids[0]}")
            output = answer.json()["output"]
            if output != HEARD[each.kind](each.said):
                found.append(Violation(1, each.ids[0], f"was told {each.said!r}, and went on with {output}"))
        return found

    async def _explained(self, violation: Violation, admin: asyncpg.Connection, client: Client) -> str:
        """The violation with its execution's row, history and what was done to the system meanwhile."""
        ids = {each.n: each.ids[0] for each in self._load.sent if each.ids}
        about = ids.get(violation.about, violation.about)
        rows = await admin.fetch("SELECT * FROM workflow_executions WHERE id::text = $1", about)
        if not rows:
            return str(violation)
        row = rows[0]
        shown = {name: row[name] for name in ("id", "status", "created_at", "started_at", "completed_at")}
        shown |= {
            name: str(row[name])[:400] for name in ("error", "waiting_on", "mirror_version", "progress")
        }
        outbox = await admin.fetch(
            "SELECT kind, created_at, available_at, leased_until, dispatched_at, attempts, last_error"
            " FROM outbox WHERE execution_id = $1",
            row["id"],
        )
        ends = (row["completed_at"] or row["updated_at"]).timestamp()
        lines = self._timeline.between(
            row["created_at"].timestamp(), min(ends, row["created_at"].timestamp() + 90)
        )
        history = await _history(client, row["temporal_workflow_id"])
        return "\n  ".join(
            [str(violation), f"row {shown}", *(f"outbox {dict(entry)}" for entry in outbox), *history, *lines]
        )


def logged(folder: Path, offence: str) -> str:
    """The lines of the stack's logs about the fault that an answer names by its urn; empty when it names none."""
    urn = _URN.search(offence)
    if urn is None:
        return ""
    found = [
        f"\n  {path.name}: {line.strip()[:4000]}"
        for path in sorted(folder.glob("*.log*"))
        for line in path.read_text(errors="replace").splitlines()
        if urn[0] in line
    ]
    return "".join(found[:QUOTED]) or f"\n  no log in {folder} tells of {urn[0]}"


def _distinct(found: Sequence[Violation]) -> list[Violation]:
    """A hundred of one kind are one finding: the first few are explained."""
    shown: Counter[tuple[int, str]] = Counter()
    kept = []
    for violation in found:
        kind = (violation.rule, violation.says[:20])
        shown[kind] += 1
        if shown[kind] <= QUOTED:
            kept.append(violation)
    kept += [
        Violation(rule, "and more", f"{number - QUOTED} of '{says}…'")
        for (rule, says), number in shown.items()
        if number > QUOTED
    ]
    return kept


async def reports(admin: asyncpg.Connection, sent: Sequence[Sent]) -> list[Violation]:
    """Many at once: each was come to once, and its line in the report says that it was asked to end."""
    lines: defaultdict[str, list[str | None]] = defaultdict(list)
    for row in await admin.fetch("SELECT execution_id, outcome FROM bulk_items"):
        lines[str(row["execution_id"])].append(row["outcome"])
    bulked = [each for each in sent if each.kind == "bulked" and each.ids]
    return [
        Violation(1, each.ids[0], f"its lines in bulk reports are {lines[each.ids[0]]}")
        for each in bulked
        if lines[each.ids[0]] != ["done"]
    ]


async def _silenced(admin: asyncpg.Connection) -> set[str]:
    """Executions whose peer broke every attempt it was granted: failing is what they are meant to do."""
    rows = await admin.fetch(
        "SELECT execution_id FROM effects WHERE status = 'failed' AND attempts >= $1"
        " AND error ->> 'type' LIKE '%/communication'",
        TRANSPORT_ATTEMPTS,
    )
    return {str(row["execution_id"]) for row in rows}


async def _same_paths(admin: asyncpg.Connection, sent: Sequence[Sent]) -> list[Violation]:
    """Completed executions of one kind went the same way: a lost or doubled step log entry shows here."""
    logs: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in await admin.fetch(
        "SELECT s.execution_id, s.occurrence, s.status FROM execution_steps s JOIN workflow_executions x"
        " ON x.id = s.execution_id WHERE x.status = 'completed'"
    ):
        logs[str(row["execution_id"])].add((row["occurrence"], row["status"]))
    found = []
    for kind in {each.kind for each in sent}:
        paths = {each.ids[0]: frozenset(logs[each.ids[0]]) for each in sent if each.kind == kind and each.ids}
        completed = {id: path for id, path in paths.items() if path}
        if not completed:
            continue
        usual, _ = Counter(completed.values()).most_common(1)[0]
        for id, path in completed.items():
            if path != usual:
                said = f"step log of a {kind}: {sorted(path ^ usual)} beside the usual"
                found.append(Violation(2, id, said))
    return found


async def _history(client: Client, workflow_id: str) -> list[str]:
    try:
        events: list[Any] = (await client.get_workflow_handle(workflow_id).fetch_history()).events
    except Exception as error:  # noqa: BLE001  an explanation must not hide what it explains
        return [f"history: {error}"]
    names = [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in events]
    tail = [
        f"{event.event_time.ToDatetime():%H:%M:%S.%f} {name}"
        for event, name in zip(events, names, strict=True)
    ]
    return [f"history of {len(events)} events: {dict(Counter(names))}", *tail[-14:]]
