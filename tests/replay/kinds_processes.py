"""The product's own processes; those of an organization, and those of the platform's."""

from uuid import UUID

from db.session import Access, Role
from domain.erasure import Subject
from domain.processes.audit import AUDIT_EXPORT
from domain.processes.bulk import BULK
from domain.processes.clients import CLIENT_EXPORT, CLIENT_IMPORT
from domain.processes.exports import EXPORT
from domain.processes.mails import ACCOUNT_MAIL, MAIL, PHONE_CODE
from domain.processes.organizations import STANDSTILL
from tests.replay.kinds_tasks import approve
from tests.replay.plays import answer
from tests.replay.scene import ASK, Begin, Kind, Scene
from tests.workflows.engine import checked
from tests.workflows.test_erasure import plan


async def bulk(scene: Scene, _: Kind) -> str:
    workflow = await scene.publish([{"ask": ASK}])
    ids = [str((await scene.start(workflow))["id"]) for _ in range(2)]
    for id in ids:
        await scene.waiting(id)
    await scene.post("/v1/bulk/cancel", {"filters": {"ids": ids}, "expected": 2, "reason": "rain"})
    return await scene.of(BULK)


async def task_mail(scene: Scene, _: Kind) -> str:
    """A member is mailed a link to a task."""
    do = [{"ask": approve(assignees=["role:owner"], links=True)}]
    id = str((await scene.start(await scene.publish(do)))["id"])
    found = await scene.of(MAIL)
    await answer(scene, id, "Go on?")
    return found


async def account_mail(scene: Scene, _: Kind) -> str:
    await scene.post("/v1/auth/forgot-password", {"email": "ada@example.com"})
    return await scene.of(ACCOUNT_MAIL)


async def phone_code(scene: Scene, _: Kind) -> str:
    await scene.post("/v1/me/phone", {"phone": "030 901820", "country": "DE"})
    return await scene.of(PHONE_CODE)


async def audit_export(scene: Scene, _: Kind) -> str:
    path = f"/v1/organizations/{scene.organization_id}/audit-log/exports"
    await scene.post(path, {"format": "jsonl", "from": "2026-01-01T00:00:00Z"})
    return await scene.of(AUDIT_EXPORT)


async def client_import(scene: Scene, _: Kind) -> str:
    checked(
        await scene.http.post(
            "/v1/clients/imports",
            content=b"name;email\nBo;bo@b.example\n",
            headers={"Content-Type": "text/csv"},
        )
    )
    return await scene.of(CLIENT_IMPORT)


async def client_export(scene: Scene, _: Kind) -> str:
    await scene.post("/v1/clients/exports", {})
    return await scene.of(CLIENT_EXPORT)


async def export(scene: Scene, _: Kind) -> str:
    await scene.post(f"/v1/organizations/{scene.organization_id}/exports", {})
    return await scene.of(EXPORT)


async def standstill(scene: Scene, _: Kind) -> str:
    """It finds nothing to hold, rests for half a minute and looks once more."""
    async with scene.parts.database.transaction(Access(Role.WORKER, scene.organization_id)) as tx:
        begun = await scene.parts.api.processes.start(
            tx, STANDSTILL, scene.organization_id, input={}, started_by=None
        )
    assert begun.entry is not None
    await scene.parts.dispatcher.dispatch(begun.entry)
    return str(begun.execution_id)


def erasing(subject: Subject) -> Begin:
    async def begin(scene: Scene, _: Kind) -> str:
        user_id = UUID((await scene.get("/v1/me"))["id"])
        subject_id = scene.organization_id if subject is Subject.ORGANIZATION else user_id
        parts = [] if subject is Subject.ORGANIZATION else [scene.organization_id]
        _, execution_id = await plan(scene, subject, subject_id, user_id, parts=parts)
        return str(execution_id)

    return begin


PROCESSES: dict[str, Kind] = {
    "process-account-mail": Kind(begin=account_mail, is_platform=True),
    "process-audit-export": Kind(begin=audit_export),
    "process-bulk-operation": Kind(begin=bulk),
    "process-client-export": Kind(begin=client_export),
    "process-client-import": Kind(begin=client_import),
    "process-erase-organization": Kind(begin=erasing(Subject.ORGANIZATION), is_platform=True),
    "process-erase-user": Kind(begin=erasing(Subject.USER), is_platform=True),
    "process-export-organization": Kind(begin=export),
    "process-mail": Kind(begin=task_mail),
    "process-organization-standstill": Kind(begin=standstill),
    "process-phone-code": Kind(begin=phone_code, is_platform=True),
}
