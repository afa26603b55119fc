"""Opening a task: what the step's arguments make of it, and whether anybody could ever decide it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from activities.actions.approvals import Approve, Ask
from db.taskcandidates import Candidates, Found
from db.taskdeciders import Deciders
from db.taskopening import NewTask, open_task
from domain.definitions import durations
from domain.definitions.faults import Fault
from domain.ids import WorkflowId, derived_id, effect_key
from domain.segments import PendingWait
from domain.tasks import APPROVAL, FORM, CandidateKind, Known, digest_of, impossible, planned


def asked(arguments: Approve | Ask, id: WorkflowId, wait: PendingWait, now: datetime) -> NewTask:
    """The task that this occurrence of a step asks for; its id comes from the occurrence."""
    escalate, names = arguments.escalate, arguments.asked
    moments = planned(
        now,
        due=None if arguments.due is None else durations.parse(arguments.due),
        reminders=[durations.parse(each) for each in arguments.reminders],
        escalates=escalate is not None,
        escalate_after=None
        if escalate is None or escalate.after is None
        else durations.parse(escalate.after),
        announces=arguments.links or any(map(_is_client, names)),
    )
    four_eyes = arguments.four_eyes if isinstance(arguments.four_eyes, list) else [arguments.four_eyes]
    return NewTask(
        id=derived_id(effect_key(id.execution_id, wait.occurrence)),
        organization_id=id.organization_id,
        execution_id=id.execution_id,
        occurrence=wait.occurrence,
        step=wait.name,
        kind=APPROVAL if isinstance(arguments, Approve) else FORM,
        title=arguments.title,
        description=arguments.description,
        form=arguments.form,
        assignees=names,
        arguments=arguments.arguments,
        arguments_digest=None if arguments.arguments is None else digest_of(arguments.arguments),
        four_eyes=True in four_eyes,
        four_eyes_steps=[each for each in four_eyes if isinstance(each, str)],
        quorum=arguments.quorum if isinstance(arguments, Approve) else 1,
        links=arguments.links,
        due_at=moments.due_at,
        on_overdue=arguments.on_overdue,
        remind_at=moments.remind_at,
        escalate_at=moments.escalate_at,
        escalate_to=() if escalate is None else list(dict.fromkeys(escalate.to)),
        next_due=moments.next,
    )


class Opening:
    """Registers a task and refuses one that could only wait in vain, inside a savepoint of its caller."""

    def __init__(self, connection: AsyncConnection, task: NewTask) -> None:
        self._connection = connection
        self._task = task

    async def open(self) -> bool:
        """False when it stands already. Raises Fault validation 400 for candidates who could never decide it."""
        task = self._task
        found = await self._found(task.assignees)
        further = await self._found(task.escalate_to)
        unknown = {**further.unknown, **found.unknown}
        about = {"unknown": unknown} if unknown else {}
        if not await open_task(self._connection, task, **about):
            return False
        barred = (
            await Deciders(self._connection).barred(task.id) if task.four_eyes or task.four_eyes_steps else ()
        )
        if task.four_eyes_steps and not any(each["step"] is not None for each in barred):
            named = ", ".join(f"“{name}”" for name in task.four_eyes_steps)
            raise _refused(
                f"four_eyes names {named}, which nobody has decided in this execution; "
                "name a step of approve or ask that comes before this one"
            )
        known = Known(
            unknown=found.unknown,
            people=[person.user_id for person in found.people],
            clients=[customer.client_id for customer in found.customers],
            barred=[each["user_id"] or each["client_id"] for each in barred],
            is_open=found.has_role or bool(further.people or further.customers or further.has_role),
        )
        why = impossible(task.assignees, task.quorum, known)
        if why is None and task.escalate_to and len(further.unknown) == len(task.escalate_to):
            why = f"nobody could be escalated to: {'; '.join(further.unknown.values())}"
        if why is not None:
            raise _refused(why)
        return True

    async def _found(self, names: Sequence[str]) -> Found:
        if not names:
            return Found()
        return await Candidates(self._connection).resolve(names, authorizing=self._task.kind == APPROVAL)


def _is_client(name: str) -> bool:
    return name.startswith(f"{CandidateKind.CLIENT.value}:")


def _refused(detail: str) -> Fault:
    return Fault("validation", 400, "Candidates refused", detail)
