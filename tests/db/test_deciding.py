"""Deciding tasks: by whom, about what, until when, how many, and by no other way than the one function."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from db.clients import ClientInUse, Clients
from db.inbox import Inbox
from db.session import Access, Role
from db.tables import metadata
from db.taskcandidates import Candidates
from db.taskdeciders import Deciders
from db.taskdeciding import Deciding
from db.taskhandling import Handling
from db.taskopening import open_task
from db.tasks import TaskFilters, Tasks
from db.tenants import SHIPPED_ROLES
from domain.errors import Conflict, Forbidden, Invalid
from domain.executions import TaskOutcome
from domain.permissions import RoleName
from domain.tasks import (
    AlreadyDecided,
    ArgumentsChanged,
    Decider,
    Decision,
    FourEyes,
    OnOverdue,
    TaskClaimed,
    TaskClosed,
    TaskOverdue,
    digest_of,
)
from tests.db.taskworld import APPROVED, NOW, REJECTED, TaskWorld, hours, tasks

__all__ = ["tasks"]
DENIED = "42501"


async def test_who_started_the_execution_may_not_decide_under_four_eyes(tasks: TaskWorld) -> None:
    id = await tasks.open(four_eyes=True)
    with pytest.raises(FourEyes, match="started this execution"):
        await tasks.decide(id, APPROVED, tasks.owner)
    assert (await tasks.row(id))["status"] == "open"
    decided = await tasks.decide(id, APPROVED, await tasks.person())
    assert (decided.task["status"], len(await tasks.words())) == ("decided", 1)


async def test_who_decided_a_named_step_may_not_decide(tasks: TaskWorld) -> None:
    ada, bob = await tasks.person(), await tasks.person()
    first = await tasks.open(step="first look")
    await tasks.decide(first, APPROVED, ada)
    second = await tasks.open(step="second look", four_eyes_steps=["first look"])
    with pytest.raises(FourEyes, match="first look"):
        await tasks.decide(second, APPROVED, ada)
    assert (await tasks.decide(second, APPROVED, bob)).entry is not None


async def test_who_started_or_decided_what_is_run_again_may_not_either(tasks: TaskWorld) -> None:
    """A rerun by somebody else does not make four eyes of two."""
    ada = await tasks.person()
    await tasks.decide(await tasks.open(step="look"), APPROVED, ada)
    async with tasks.admin.begin() as connection:
        again = await connection.scalar(
            text(
                "INSERT INTO workflow_executions (organization_id, workflow_id, workflow_version_id, trigger_event,"
                " temporal_workflow_id, execution_context) SELECT organization_id, workflow_id, workflow_version_id,"
                " 'manual', 'again', jsonb_build_object('rerun_of', id) FROM workflow_executions WHERE id = :id"
                " RETURNING id"
            ),
            {"id": tasks.execution["id"]},
        )
    tasks.execution = {**tasks.execution, "id": again}
    id = await tasks.open(four_eyes=True, four_eyes_steps=["look"])
    for barred in (tasks.owner, ada):
        with pytest.raises(FourEyes):
            await tasks.decide(id, APPROVED, barred)


async def test_four_eyes_reach_the_children_of_what_is_run_again(tasks: TaskWorld) -> None:
    """Bob repeats what Ada started; the child that this starts anew is as much hers."""
    ada, bob, cid = await tasks.person(), await tasks.person(), await tasks.person()
    await tasks.started_by(ada)
    again = await _execution(tasks, "again", bob, context={"rerun_of": str(tasks.execution["id"])})
    await tasks.decide(await tasks.open(step="look"), APPROVED, cid)
    tasks.execution = {**tasks.execution, "id": await _execution(tasks, "child", bob, parent=again)}
    await tasks.decide(await tasks.open(step="look"), APPROVED, cid)
    id = await tasks.open(four_eyes=True)
    for barred in (ada, bob):
        with pytest.raises(FourEyes):
            await tasks.decide(id, APPROVED, barred)
    assert (await tasks.decide(id, APPROVED, cid)).entry is not None


async def test_named_steps_are_those_of_the_execution_itself(tasks: TaskWorld) -> None:
    """Its parent may call a step the same."""
    ada = await tasks.person()
    await tasks.decide(await tasks.open(step="look"), APPROVED, ada)
    child = await _execution(tasks, "child", ada, parent=tasks.execution["id"])
    tasks.execution = {**tasks.execution, "id": child}
    id = await tasks.open(four_eyes_steps=["look"])
    assert (await tasks.decide(id, APPROVED, ada)).entry is not None


async def _execution(
    tasks: TaskWorld, name: str, by: Decider, *, context: Any = None, parent: UUID | None = None
) -> UUID:
    """Another execution like the one there is."""
    async with tasks.admin.begin() as connection:
        id: UUID = await connection.scalar(
            text(
                "INSERT INTO workflow_executions (organization_id, workflow_id, workflow_version_id, trigger_event,"
                " temporal_workflow_id, execution_context, started_by, parent_id) SELECT organization_id, workflow_id,"
                " workflow_version_id, 'manual', :name, CAST(:context AS jsonb), :by, :parent"
                " FROM workflow_executions WHERE id = :id RETURNING id"
            ),
            {
                "id": tasks.execution["id"],
                "name": name,
                "context": json.dumps(context or {}),
                "by": by.user_id,
                "parent": parent,
            },
        )
    return id


async def test_so_many_different_people_have_to_approve(tasks: TaskWorld) -> None:
    people = [await tasks.person() for _ in range(4)]
    id = await tasks.open(quorum=3)
    for number, person in enumerate(people[:2]):
        word = replace(APPROVED, comment=person.email)
        counted = await tasks.decide(id, word, person, at=NOW + hours(number - 2))
        assert (counted.task["status"], counted.entry) == ("open", None)
        repeated = await tasks.decide(id, replace(APPROVED, comment=person.email), person)
        assert (repeated.task["status"], repeated.entry) == ("open", None)
    with pytest.raises(AlreadyDecided, match="counts once"):
        await tasks.decide(id, REJECTED, people[0])
    assert await tasks.words() == []
    last = await tasks.decide(id, APPROVED, people[2])
    assert [word["decided_by"] for word in last.task["decision"]["decisions"]] == [
        str(person.user_id) for person in people[:3]
    ]
    [told] = await tasks.words()
    assert told["decision"] == last.task["decision"]
    with pytest.raises(TaskClosed):
        await tasks.decide(id, APPROVED, people[3])
    # Whoever lost the answer to a word of theirs hears it again after the end, too.
    assert (await tasks.decide(id, replace(APPROVED, comment=people[0].email), people[0])).entry is None


async def test_one_rejection_rejects(tasks: TaskWorld) -> None:
    id = await tasks.open(quorum=3)
    await tasks.decide(id, APPROVED, await tasks.person())
    decided = await tasks.decide(id, REJECTED, await tasks.person())
    assert (decided.task["outcome"], decided.task["decision"]["approved"]) == ("rejected", False)
    assert len(decided.task["decision"]["decisions"]) == 2


async def test_words_that_arrive_at_once_are_counted_one_after_the_other(tasks: TaskWorld) -> None:
    people = [await tasks.person() for _ in range(6)]
    id = await tasks.open(quorum=2)
    results = await asyncio.gather(
        *(tasks.decide(id, APPROVED, person) for person in people), return_exceptions=True
    )
    assert sum(isinstance(each, TaskClosed) for each in results) == 4
    assert sum(not isinstance(each, Exception) for each in results) == 2
    assert len(await tasks.words()) == 1
    assert sum(line["kind"] in ("voted", "decided") for line in await tasks.history(id)) == 2


async def test_nothing_is_decided_after_the_deadline(tasks: TaskWorld) -> None:
    """To the second, before anybody has written down that it has passed."""
    ada = await tasks.person()
    for ending in (OnOverdue.FAIL, OnOverdue.REJECT):
        id = await tasks.open(due_at=NOW, on_overdue=ending)
        with pytest.raises(TaskOverdue, match="until 2026-11-23T12:00"):
            await tasks.decide(id, APPROVED, ada, at=NOW)
        assert (await tasks.row(id))["status"] == "open"
    soft = await tasks.open(due_at=NOW)
    assert (await tasks.decide(soft, APPROVED, ada, at=NOW + hours(5))).entry is not None


async def test_a_decision_is_about_what_was_seen(tasks: TaskWorld) -> None:
    ada, arguments = await tasks.person(), {"amount": 100, "to": "Bert"}
    id = await tasks.open(arguments=arguments)
    with pytest.raises(Invalid) as missing:
        await tasks.decide(id, APPROVED, ada)
    assert missing.value.problems[0].pointer == "#/arguments_digest"
    other = digest_of({"amount": 10_000, "to": "Bert"})
    with pytest.raises(ArgumentsChanged):
        await tasks.decide(id, replace(APPROVED, arguments_digest=other), ada)
    assert digest_of({"to": "Bert", "amount": 100}) == digest_of(arguments)
    decided = await tasks.decide(id, replace(APPROVED, arguments_digest=digest_of(arguments)), ada)
    assert decided.task["status"] == "decided"
    without = await tasks.open()
    with pytest.raises(ArgumentsChanged):
        await tasks.decide(without, replace(APPROVED, arguments_digest=other), ada)


async def test_a_task_opened_anew_forgets_what_was_seen_before(tasks: TaskWorld) -> None:
    """Its execution was reset and asks with other arguments; whoever saw the old ones decides nothing."""
    ada, new = await tasks.person(), tasks.new(arguments={"amount": 1})
    async with tasks.as_() as tx:
        await open_task(tx, new)
        await tx.execute(text("UPDATE tasks SET status = 'cancelled' WHERE id = :id"), {"id": new.id})
        changed = replace(new, arguments={"amount": 2}, arguments_digest=digest_of({"amount": 2}))
        assert await open_task(tx, changed)
    with pytest.raises(ArgumentsChanged):
        await tasks.decide(new.id, replace(APPROVED, arguments_digest=new.arguments_digest), ada)


async def test_words_about_other_arguments_count_no_more(tasks: TaskWorld) -> None:
    ada, bob, new = await tasks.person(), await tasks.person(), tasks.new(arguments={"amount": 1}, quorum=2)
    changed = replace(new, arguments={"amount": 2}, arguments_digest=digest_of({"amount": 2}))
    about = replace(APPROVED, arguments_digest=changed.arguments_digest)
    async with tasks.as_() as tx:
        await open_task(tx, new)
    await tasks.decide(new.id, replace(APPROVED, arguments_digest=new.arguments_digest), ada)
    async with tasks.as_() as tx:
        await tx.execute(text("UPDATE tasks SET status = 'cancelled' WHERE id = :id"), {"id": new.id})
        await open_task(tx, changed)
    assert (await tasks.decide(new.id, about, bob)).task["status"] == "open"
    assert (await tasks.decide(new.id, about, ada)).task["status"] == "decided"


async def test_a_form_is_submitted_and_an_approval_is_not(tasks: TaskWorld) -> None:
    ada = await tasks.person()
    form = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    id = await tasks.open(kind="form", form=form)
    submitted = Decision(TaskOutcome.SUBMITTED, data={"name": "Ada"})
    with pytest.raises(Invalid) as wrong:
        await tasks.decide(id, APPROVED, ada)
    assert wrong.value.problems[0].pointer == "#/outcome"
    with pytest.raises(Invalid) as misfit:
        await tasks.decide(id, Decision(TaskOutcome.SUBMITTED, data={"name": 7}), ada)
    assert misfit.value.problems[0].pointer == "#/data/name"
    decision = (await tasks.decide(id, submitted, ada)).task["decision"]
    assert (decision["outcome"], decision["data"], "approved" in decision) == (
        "submitted",
        {"name": "Ada"},
        False,
    )
    with pytest.raises(Invalid):
        await tasks.decide(await tasks.open(), submitted, ada)


async def test_who_may_not_decide_tasks_decides_none(tasks: TaskWorld) -> None:
    auditor = await tasks.person(RoleName.AUDITOR)
    denied = await tasks.person(permissions_override={"deny": ["tasks:decide"]})
    id = await tasks.open()
    for person in (auditor, denied):
        with pytest.raises(Forbidden, match="may not decide"):
            await tasks.decide(id, APPROVED, person)
    gone = await tasks.person(status="suspended")
    with pytest.raises(Forbidden):
        await tasks.decide(id, APPROVED, gone)


async def test_a_role_that_was_lowered_meanwhile_decides_nothing(tasks: TaskWorld) -> None:
    """Who asks is looked up before the row is locked; the database looks once more."""
    ada, id = await tasks.person(), await tasks.open(assignees=["role:manager"])
    with pytest.raises(Forbidden, match="in the meantime"):
        await tasks.decide(id, APPROVED, replace(ada, role="manager"))
    assert (await tasks.row(id))["status"] == "open"


async def test_a_client_decides_what_names_it_and_nothing_else(tasks: TaskWorld) -> None:
    ours, other = await tasks.client(), await tasks.client()
    id = await tasks.open(assignees=[f"client:{ours.client_id}"])
    with pytest.raises(Forbidden):
        await tasks.decide(id, APPROVED, other)
    with pytest.raises(Forbidden):
        await tasks.decide(id, APPROVED, await tasks.person())
    decided = await tasks.decide(id, APPROVED, ours)
    assert (decided.task["decided_by"], decided.task["decided_by_client"]) == (None, ours.client_id)
    assert decided.task["decision"]["decided_by_client"] == str(ours.client_id)
    with pytest.raises(Forbidden):  # a task for everybody is for members
        await tasks.decide(await tasks.open(), APPROVED, ours)


async def test_a_claimed_task_is_decided_by_whoever_claimed_it(tasks: TaskWorld) -> None:
    ada, bob, boss = await tasks.person(), await tasks.person(), await tasks.person(RoleName.MANAGER)
    id = await tasks.open(assignees=["role:reviewer"])
    async with tasks.as_(ada) as tx:
        for _ in range(2):
            assert (await Handling(tx).claim(id, ada, at=NOW))["claimed_by"] == ada.user_id
    async with tasks.as_(bob) as tx:
        with pytest.raises(TaskClaimed):
            await Handling(tx).claim(id, bob, at=NOW)
        with pytest.raises(TaskClaimed):
            await Handling(tx).release(id, bob)
        assert isinstance(await Deciders(tx).obstacle(await Tasks(tx).get(id), bob, at=NOW), TaskClaimed)
    with pytest.raises(TaskClaimed):
        await tasks.decide(id, APPROVED, bob)
    async with tasks.as_(boss) as tx:
        await Handling(tx).release(id, boss, for_others=True)
    assert (await tasks.decide(id, APPROVED, bob)).entry is not None
    kinds = {line["kind"] for line in await tasks.history(id)}
    assert kinds == {"opened", "claimed", "released", "decided"}


async def test_a_client_whom_an_open_task_needs_stays(tasks: TaskWorld) -> None:
    ours, other = await tasks.client(), await tasks.client()
    name, member = f"client:{ours.client_id}", await tasks.person()
    needs = [
        await tasks.open(assignees=[name], title="Sign the lease"),
        await tasks.open(assignees=[name, f"user:{member.email}"], quorum=2),
    ]
    for also in ("role:reviewer", f"user:{member.email}", f"client:{other.client_id}"):
        await tasks.open(assignees=[name, also])
    with pytest.raises(ClientInUse, match="Sign the lease") as refused:
        await _removed(tasks, ours)
    assert [str(id) in refused.value.message for id in needs] == [True, True]
    assert refused.value.message.count("“") == 2
    await tasks.decide(needs[0], APPROVED, ours)
    async with tasks.as_() as tx:
        await tx.execute(text("UPDATE tasks SET status = 'cancelled' WHERE id = :id"), {"id": needs[1]})
    await _removed(tasks, ours)
    with pytest.raises(ClientInUse):  # now it is alone
        await _removed(tasks, other)


async def test_a_client_is_not_deleted_while_a_task_is_opened_for_it(tasks: TaskWorld) -> None:
    ours = await tasks.client()
    new = tasks.new(assignees=[f"client:{ours.client_id}"])
    async with tasks.as_() as tx:
        await Candidates(tx).resolve(new.assignees)
        removing = asyncio.create_task(_removed(tasks, ours))
        await asyncio.sleep(0.2)
        await open_task(tx, new)
    with pytest.raises(ClientInUse):
        await removing


async def _removed(tasks: TaskWorld, client: Decider) -> None:
    assert client.client_id is not None
    async with tasks.as_(tasks.owner) as tx:
        await Clients(tx).remove(client.client_id)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "suspended"},
        {"role_id": SHIPPED_ROLES[RoleName.AUDITOR]},
        {"permissions_override": {"deny": ["tasks:decide"]}},
        None,
    ],
)
async def test_a_claim_does_not_outlive_what_its_holder_may(
    tasks: TaskWorld, change: dict[str, Any] | None
) -> None:
    ada, bob, cleo = await tasks.person(), await tasks.person(), await tasks.person()
    first, second = (
        await tasks.open(),
        await tasks.open(remind_at=[NOW], next_due=NOW, assignees=["role:reviewer"]),
    )
    async with tasks.as_(ada) as tx:
        for id in (first, second):
            await Handling(tx).claim(id, ada, at=NOW)
    memberships = metadata.tables["user_organizations"]
    async with tasks.admin.begin() as connection:
        its = memberships.c.user_id == ada.user_id
        await connection.execute(
            delete(memberships).where(its)
            if change is None
            else update(memberships).where(its).values(change)
        )
    await tasks.due(second, NOW)
    assert {mail["to"] for mail in await tasks.mails()} == {bob.email, cleo.email}
    async with tasks.as_(bob) as tx:
        waiting = {row["id"] for row in await Inbox(tx).waiting_for(bob, 10)}
        mine = {row["id"] for row in await Tasks(tx).page(TaskFilters(decider=bob), before=None, limit=10)}
        assert waiting == mine == {first, second}
        assert (await Tasks(tx).get(first))["claimed_by"] is None
        assert (await Handling(tx).claim(second, bob, at=NOW))["claimed_by"] == bob.user_id
    with pytest.raises(TaskClaimed):
        await tasks.decide(second, APPROVED, cleo)
    assert (await tasks.decide(first, APPROVED, cleo)).entry is not None


async def test_who_is_no_candidate_claims_nothing_and_several_deciders_no_one_alone(tasks: TaskWorld) -> None:
    ada = await tasks.person()
    async with tasks.as_(ada) as tx:
        with pytest.raises(Forbidden, match="assigned"):
            await Handling(tx).claim(await tasks.open(assignees=["role:owner"]), ada, at=NOW)
        with pytest.raises(Conflict, match="2 people"):
            await Handling(tx).claim(await tasks.open(quorum=2), ada, at=NOW)
        late = await tasks.open(due_at=NOW, on_overdue=OnOverdue.FAIL)
        with pytest.raises(TaskOverdue):
            await Handling(tx).claim(late, ada, at=NOW)


async def test_a_delegated_task_is_the_delegates(tasks: TaskWorld) -> None:
    ada, bob, cleo = await tasks.person(), await tasks.person(), await tasks.person(RoleName.MEMBER)
    id = await tasks.open(assignees=["role:reviewer"])
    async with tasks.as_(ada) as tx:
        row = await Handling(tx).delegate(id, ada, cleo.email.upper(), at=NOW, comment="please")
    assert (row["claimed_by"], f"user:{cleo.email}" in row["assignees"]) == (cleo.user_id, True)
    with pytest.raises(TaskClaimed):
        await tasks.decide(id, APPROVED, bob)
    assert (await tasks.decide(id, APPROVED, cleo)).task["decided_by"] == cleo.user_id


async def test_nobody_delegates_to_who_may_not_decide(tasks: TaskWorld) -> None:
    ada, auditor = await tasks.person(), await tasks.person(RoleName.AUDITOR)
    suspended = await tasks.person(status="suspended")
    id = await tasks.open(four_eyes=True)
    refused = {
        auditor.email: "may not decide",
        suspended.email: "no active member",
        "nobody@example.test": "no active member",
        tasks.owner.email: "four eyes",
        "role:reviewer": "not to a role",
        "no address": "e-mail address",
        ada.email: "That is you",
    }
    async with tasks.as_(ada) as tx:
        for to, why in refused.items():
            with pytest.raises(Invalid) as refusal:
                await Handling(tx).delegate(id, ada, to, at=NOW)
            [problem] = refusal.value.problems
            assert problem.pointer == "#/to"
            assert why in problem.message, (to, problem.message)
    # Whom four eyes keep away may still hand it on.
    async with tasks.as_(tasks.owner) as tx:
        await Handling(tx).delegate(id, tasks.owner, ada.email, at=NOW)
    assert (await tasks.decide(id, APPROVED, ada)).entry is not None


@pytest.mark.parametrize("role", [Role.API, Role.WORKER])
async def test_no_other_statement_writes_a_decision(tasks: TaskWorld, role: Role) -> None:
    """Neither as a member nor as a worker: the columns, the words and whole decided rows are out of reach."""
    id = await tasks.open(quorum=2)
    access = Access(role, tasks.organization_id, tasks.owner.user_id)
    statements = [
        "UPDATE tasks SET status = 'decided', outcome = 'approved', decision = '{}' WHERE id = :id",
        "UPDATE tasks SET outcome = 'approved' WHERE id = :id",
        "UPDATE tasks SET decision = '{}' WHERE id = :id",
        "UPDATE tasks SET decided_by = app.me() WHERE id = :id",
        "INSERT INTO task_events (organization_id, task_id, kind, user_id, outcome)"
        " SELECT organization_id, id, 'voted', app.me(), 'approved' FROM tasks WHERE id = :id",
        "INSERT INTO task_events (organization_id, task_id, kind, user_id, outcome)"
        " SELECT organization_id, id, 'decided', app.me(), 'approved' FROM tasks WHERE id = :id",
        "UPDATE task_events SET kind = 'voted' WHERE task_id = :id",
        "DELETE FROM task_events WHERE task_id = :id",
        "INSERT INTO tasks (id, organization_id, execution_id, occurrence, kind, title, status, outcome, decision)"
        " SELECT gen_random_uuid(), organization_id, execution_id, 'x', kind, title, 'decided', 'approved', '{}'"
        " FROM tasks WHERE id = :id",
    ]
    for statement in statements:
        with pytest.raises(DBAPIError) as refused:
            async with tasks.database.transaction(access) as tx:
                await tx.execute(text(statement), {"id": id})
        assert getattr(refused.value.orig, "sqlstate", None) in (DENIED, "23514"), statement
    row = await tasks.row(id)
    assert (row["status"], row["outcome"], row["decision"]) == ("open", None, None)


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ({"quorum": 1}, {"user_id": str(uuid4())}, "somebody else"),
        ({}, {"user_id": None}, "somebody else"),
        ({"due_at": NOW, "on_overdue": "fail"}, {}, "deadline"),
        ({"arguments": {"a": 1}}, {}, "arguments"),
        ({"four_eyes": True}, {}, "four eyes"),
        ({"assignees": ["role:reviewer"]}, {}, "assigned"),
        ({"kind": "form"}, {}, "outcome"),
        ({}, {"outcome": "submitted"}, "outcome"),
    ],
)
async def test_the_function_itself_refuses_what_a_mistake_of_ours_would_let_through(
    tasks: TaskWorld, task: dict[str, object], given: dict[str, object], said: str
) -> None:
    id = await tasks.open(**task)
    call = text(
        "SELECT app.decide_task(:id, CAST(:given AS jsonb) || jsonb_build_object('at', CAST(:at AS timestamptz),"
        " 'decision', jsonb_build_object('outcome', 'approved')))"
    )
    values = {"user_id": str(tasks.owner.user_id), "outcome": "approved", **given}
    with pytest.raises(DBAPIError, match=said):
        async with tasks.as_(tasks.owner) as tx:
            await tx.execute(call, {"id": id, "given": json.dumps(values), "at": NOW})
    assert (await tasks.row(id))["status"] == "open"


async def test_whom_four_eyes_keep_away_does_not_choose_the_second_pair(tasks: TaskWorld) -> None:
    reviewer, cleo = await tasks.person(), await tasks.person(RoleName.MEMBER)
    id = await tasks.open(four_eyes=True, assignees=["role:reviewer", "role:owner"])
    async with tasks.as_(tasks.owner) as tx:
        with pytest.raises(Invalid) as refusal:
            await Handling(tx).delegate(id, tasks.owner, cleo.email, at=NOW)
        assert "its candidates alone" in refusal.value.problems[0].message
        row = await Handling(tx).delegate(id, tasks.owner, reviewer.email, at=NOW)
    assert (row["claimed_by"], f"user:{cleo.email}" in row["assignees"]) == (reviewer.user_id, False)
    async with tasks.as_(reviewer) as tx:  # who may decide may also ask somebody else to
        assert (await Handling(tx).delegate(id, reviewer, cleo.email, at=NOW))["claimed_by"] == cleo.user_id


async def test_the_function_lets_nobody_decide_what_they_do_not_see(tasks: TaskWorld) -> None:
    """A task that names nobody is for whoever sees every task, and for whom it was put into the hands of."""
    guest, id = await tasks.person(RoleName.CLIENT), await tasks.open()
    call = text(
        "SELECT app.decide_task(:id, jsonb_build_object('user_id', app.me()::text, 'at', CAST(:at AS timestamptz),"
        " 'outcome', 'approved', 'decision', jsonb_build_object('outcome', 'approved')))"
    )
    with pytest.raises(DBAPIError, match="put to others"):
        async with tasks.as_(guest) as tx:
            await tx.execute(call, {"id": id, "at": NOW})
    async with tasks.as_(tasks.owner) as tx:
        await Handling(tx).delegate(id, tasks.owner, guest.email, at=NOW)
    async with tasks.as_(guest) as tx:
        assert await tx.scalar(call, {"id": id, "at": NOW}) == "decided"


async def test_a_worker_decides_for_no_member_and_ends_nothing_before_its_time(tasks: TaskWorld) -> None:
    ada, id = await tasks.person(), await tasks.open(due_at=NOW + hours(1), on_overdue=OnOverdue.FAIL)
    async with tasks.as_() as tx:
        assert await Deciding(tx).expire(id, at=NOW) is None
    for by in (ada, Decider(None)):
        with pytest.raises((DBAPIError, Forbidden)):
            async with tasks.as_() as tx:
                await Deciding(tx).decide(id, APPROVED, by, at=NOW)
    assert (await tasks.row(id))["status"] == "open"
