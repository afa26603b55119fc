"""What happens to a task by itself: mails, reminders, escalation, and its end when nobody decided in time."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from db.session import Access, Role
from db.taskduties import due_tasks
from db.taskhandling import Handling
from db.taskhistory import TaskLinks
from db.taskopening import open_task
from domain.onetime import Purpose, derive, kept
from domain.tasks import OnOverdue, TaskClosed, TaskOverdue, planned
from tests.db.taskworld import APPROVED, NOW, SECRET, TaskWorld, hours, tasks

__all__ = ["tasks"]


def plan(**given: Any) -> dict[str, Any]:
    """The columns of a task that opens now, as `asked` writes them."""
    moments = planned(NOW, **given)
    return {
        "due_at": moments.due_at,
        "remind_at": moments.remind_at,
        "escalate_at": moments.escalate_at,
        "next_due": moments.next,
    }


async def found(tasks: TaskWorld, now: datetime) -> list[UUID]:
    async with tasks.database.transaction(Access(Role.SYSTEM)) as tx:
        return [task.id for task in await due_tasks(tx, now, 100)]


async def test_a_client_is_mailed_a_link_once(tasks: TaskWorld) -> None:
    client = await tasks.client()
    id = await tasks.open(assignees=[f"client:{client.client_id}"], **plan(due=None, announces=True))
    assert await found(tasks, NOW) == [id]
    begun = await tasks.due(id, NOW)
    assert (len(begun), await found(tasks, NOW + hours(99))) == (1, [])
    assert await tasks.due(id, NOW) == []
    [mail] = await tasks.mails()
    [link] = await tasks.everything("task_links")
    assert (mail["template"], mail["to"], mail["path"]) == ("task-open", client.email, None)
    assert mail["token"] == {"purpose": "task", "id": str(link["id"])}
    assert (link["client_id"], link["user_id"]) == (client.client_id, None)
    assert link["token_sha256"] == kept(derive(SECRET, Purpose.TASK, link["id"]))
    assert mail["values"]["organization"] == "Acme"
    announced = (await tasks.history(id))[-1]
    assert (announced["kind"], announced["about"]) == (
        "announced",
        {"mailed": [f"client:{client.client_id}"]},
    )


async def test_a_task_opened_anew_is_announced_anew(tasks: TaskWorld) -> None:
    """Its execution was reset after the first link had ended: without a mail nobody could ever answer."""
    client = await tasks.client()
    new = tasks.new(
        assignees=[f"client:{client.client_id}"],
        on_overdue=OnOverdue.FAIL,
        **plan(due=hours(4), announces=True),
    )
    later = replace(new, due_at=NOW + hours(104), next_due=NOW + hours(100))
    async with tasks.as_() as tx:
        await open_task(tx, new)
    await tasks.due(new.id, NOW)
    async with tasks.as_() as tx:
        await tx.execute(text("UPDATE tasks SET status = 'cancelled' WHERE id = :id"), {"id": new.id})
        assert await open_task(tx, later)
    await tasks.due(new.id, NOW + hours(100))
    [first, second] = await tasks.mails()
    assert first["token"] != second["token"]
    [valid] = await tasks.everything("task_links", revoked_at=None)
    assert str(valid["id"]) in (first["token"]["id"], second["token"]["id"])


async def test_two_that_look_at_once_mail_once(tasks: TaskWorld) -> None:
    client = await tasks.client()
    id = await tasks.open(assignees=[f"client:{client.client_id}"], **plan(due=None, announces=True))
    await asyncio.gather(*(tasks.due(id, NOW) for _ in range(5)))
    assert len(await tasks.mails()) == len(await tasks.everything("task_links")) == 1


async def test_members_get_links_only_where_the_task_says_so(tasks: TaskWorld) -> None:
    ada, client = await tasks.person(), await tasks.client()
    names = [f"user:{ada.email}", f"client:{client.client_id}"]
    quiet = await tasks.open(assignees=names, **plan(due=None, announces=True))
    await tasks.due(quiet, NOW)
    assert [mail["to"] for mail in await tasks.mails()] == [client.email]
    told = await tasks.open(assignees=names, links=True, **plan(due=None, announces=True))
    await tasks.due(told, NOW)
    holders = {
        row["user_id"] or row["client_id"] for row in await tasks.everything("task_links", task_id=told)
    }
    assert holders == {ada.user_id, client.client_id}


async def test_reminders_come_before_the_deadline_and_only_to_who_has_not_answered(tasks: TaskWorld) -> None:
    ada, bob = await tasks.person(), await tasks.person()
    id = await tasks.open(
        assignees=[f"user:{ada.email}", f"user:{bob.email}"],
        quorum=2,
        **plan(due=hours(48), reminders=[hours(24), hours(1), hours(100)]),
    )
    assert await found(tasks, NOW + hours(23)) == []
    await tasks.decide(id, APPROVED, ada)
    await tasks.due(id, NOW + hours(24))
    [mail] = await tasks.mails()
    assert (mail["template"], mail["to"], mail["path"]) == ("task-reminder", bob.email, f"/tasks/{id}")
    assert mail["values"]["when"] == "Please answer until Wednesday 25 November 2026, 12:00 (Europe/London)."
    assert (await tasks.row(id))["next_due"] == NOW + hours(47)
    await tasks.due(id, NOW + hours(47))
    assert len(await tasks.mails()) == 2


async def test_of_reminders_that_were_missed_one_is_sent(tasks: TaskWorld) -> None:
    """The stack stood still."""
    ada = await tasks.person()
    each = [hours(n) for n in (40, 30, 20, 10)]
    id = await tasks.open(assignees=[f"user:{ada.email}"], **plan(due=hours(48), reminders=each))
    await tasks.due(id, NOW + hours(30))
    assert len(await tasks.mails()) == 1
    assert (await tasks.row(id))["remind_at"] == [NOW + hours(38)]


async def test_who_claimed_a_task_is_reminded_alone(tasks: TaskWorld) -> None:
    ada, bob = await tasks.person(), await tasks.person()
    id = await tasks.open(assignees=["role:reviewer"], **plan(due=hours(48), reminders=[hours(1)]))
    async with tasks.as_(bob) as tx:
        await Handling(tx).claim(id, bob, at=NOW)
    await tasks.due(id, NOW + hours(47))
    assert [mail["to"] for mail in await tasks.mails()] == [bob.email]
    assert ada.email not in str(await tasks.mails())


async def test_escalation_adds_people_mails_them_and_ends_a_claim(tasks: TaskWorld) -> None:
    ada, boss = await tasks.person(), await tasks.person()
    id = await tasks.open(
        assignees=[f"user:{ada.email}"],
        escalate_to=[f"user:{boss.email}", "user:gone@example.test"],
        **plan(due=hours(48), escalates=True, escalate_after=hours(8)),
    )
    async with tasks.as_(ada) as tx:
        await Handling(tx).claim(id, ada, at=NOW)
    await tasks.due(id, NOW + hours(8))
    row = await tasks.row(id)
    assert row["assignees"] == [f"user:{ada.email}", f"user:{boss.email}", "user:gone@example.test"]
    assert (row["claimed_by"], row["escalated_at"], row["next_due"]) == (
        None,
        NOW + hours(8),
        NOW + hours(48),
    )
    [mail] = await tasks.mails()
    assert (mail["template"], mail["to"]) == ("task-escalated", boss.email)
    line = next(line for line in await tasks.history(id) if line["kind"] == "escalated")
    assert line["about"]["released_from"] == str(ada.user_id)
    assert "gone@example.test" in line["about"]["unknown"]["user:gone@example.test"]
    assert (await tasks.decide(id, APPROVED, boss, at=NOW + hours(9))).entry is not None


async def test_nobody_whom_four_eyes_keep_away_is_mailed(tasks: TaskWorld) -> None:
    ada = await tasks.person()
    names = [f"user:{ada.email}", f"user:{tasks.owner.email}"]
    id = await tasks.open(assignees=names, four_eyes=True, links=True, **plan(due=None, announces=True))
    await tasks.due(id, NOW)
    assert [mail["to"] for mail in await tasks.mails()] == [ada.email]


async def test_a_deadline_fails_the_step(tasks: TaskWorld) -> None:
    id = await tasks.open(on_overdue=OnOverdue.FAIL, **plan(due=hours(1)))
    assert await tasks.due(id, NOW + hours(0.5)) == []
    [entry] = await tasks.due(id, NOW + hours(1))
    row = await tasks.row(id)
    assert (row["status"], row["outcome"]) == ("expired", None)
    assert entry.payload["arguments"]["decision"]["fault"]["status"] == 408
    assert [word["decision"] for word in await tasks.words()] == [row["decision"]]
    with pytest.raises(TaskOverdue):
        await tasks.decide(id, APPROVED, await tasks.person(), at=NOW)
    assert await tasks.due(id, NOW + hours(2)) == []


async def test_a_deadline_rejects(tasks: TaskWorld) -> None:
    id = await tasks.open(on_overdue=OnOverdue.REJECT, **plan(due=hours(1)))
    await tasks.due(id, NOW + hours(1))
    row = await tasks.row(id)
    assert (row["status"], row["outcome"], row["decided_by"]) == ("decided", "rejected", None)
    assert (row["decision"]["overdue"], row["decision"]["approved"]) == (True, False)
    with pytest.raises(TaskClosed, match="deadline"):
        await tasks.decide(id, APPROVED, await tasks.person(), at=NOW + hours(2))


async def test_a_soft_deadline_is_noted_once(tasks: TaskWorld) -> None:
    id = await tasks.open(**plan(due=hours(1)))
    for _ in range(2):
        await tasks.due(id, NOW + hours(1))
    assert [line["kind"] for line in await tasks.history(id)].count("overdue") == 1
    assert ((await tasks.row(id))["overdue_at"], await found(tasks, NOW + hours(9))) == (NOW + hours(1), [])
    assert (await tasks.decide(id, APPROVED, await tasks.person(), at=NOW + hours(2))).entry is not None


async def test_a_decision_and_the_deadline_at_once_have_one_outcome(tasks: TaskWorld) -> None:
    people = [await tasks.person() for _ in range(3)]
    for round in range(4):
        id = await tasks.open(on_overdue=OnOverdue.FAIL, **plan(due=hours(1)))
        # The clocks of two processes differ: one still takes a decision when the other ends the task.
        results = await asyncio.gather(
            *(tasks.decide(id, replace(APPROVED, comment=str(round)), each, at=NOW) for each in people),
            tasks.due(id, NOW + hours(1)),
            return_exceptions=True,
        )
        assert not [each for each in results if isinstance(each, Exception) and not isinstance(
            each, TaskClosed | TaskOverdue)]  # fmt: skip
        told = [word for word in await tasks.words() if word["task_id"] == str(id)]
        assert len(told) == 1
        row = await tasks.row(id)
        assert ("fault" in told[0]["decision"]) == (row["status"] == "expired")


async def test_nothing_is_due_in_an_organization_that_was_deactivated(tasks: TaskWorld) -> None:
    id = await tasks.open(**plan(due=hours(1)))
    assert await found(tasks, NOW + hours(1)) == [id]
    async with tasks.admin.begin() as connection:
        await connection.execute(text("UPDATE organizations SET is_active = false"))
    assert await found(tasks, NOW + hours(1)) == []


async def test_a_link_is_found_by_its_secret_alone(tasks: TaskWorld) -> None:
    client = await tasks.client()
    id = await tasks.open(assignees=[f"client:{client.client_id}"], **plan(due=None, announces=True))
    await tasks.due(id, NOW)
    [link] = await tasks.everything("task_links")
    async with tasks.database.transaction(Access(Role.API)) as tx:
        assert await TaskLinks(tx).find("0" * 64) is None
        seen = await TaskLinks(tx).find(link["token_sha256"])
    assert seen is not None
    assert (seen["task_id"], seen["client_id"]) == (id, client.client_id)
    await tasks.decide(id, APPROVED, client)
    [used] = await tasks.everything("task_links")
    assert used["used_at"] == NOW
