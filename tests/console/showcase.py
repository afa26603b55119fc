"""An organization in the middle of its work, and the screens on which people look at it.

Made through the API by its people, on the shipped templates; the checks of accessibility and the screenshots share it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perdure.cli.demo_http import check, get, post
from tests.console.browsing import Console, Person

PATIENCE = 30.0
PAPER = {
    "title": "Engagement letter 2026",
    "link": "https://papers.example/engagement-2026",
    "needed_by": "2026-12-15",
}
CLIENT = {
    "name": "Northwind Bakery",
    "email": "owner@northwind.example",
    "kind": "business",
    "services": ["Payroll", "Tax returns"],
}
INVOICE = {
    "number": "A-2026-17",
    "name": "Quay Shipping",
    "email": "books@quay.example",
    "amount": "1 250.00 GBP",
}
GUEST = "guest@harbour-lane.example"
HOOK = {"type": "webhook", "name": "orders", "configuration": {"scheme": "github"}}
INTAKE = {
    "do": [
        {"Read the order": {"set": {"number": "${ .number }", "lines": "${ .lines // [] }"}}},
        {
            "Go through the lines": {
                "for": {"each": "line", "in": ".lines"},
                "do": [{"Price a line": {"set": {"number": "${ .number }", "last": "${ $line }"}}}],
            }
        },
        {
            "Two things at once": {
                "fork": {
                    "branches": [
                        {"Book it": {"set": {"booked": "${ true }"}}},
                        {"Rest a moment": {"wait": {"seconds": 1}}},
                    ]
                }
            }
        },
        {"Done": {"set": {"state": "booked"}}},
    ]
}


@dataclass(frozen=True)
class Showcase:
    """Ids of what there is to look at."""

    workflow: str
    intake: str
    completed: str
    waiting: str
    failed: str
    long: str
    task: str
    form_task: str
    decided_task: str
    schedule: str
    delivery: str
    link: str
    invitation: str
    event: str
    bulk: str


@dataclass(frozen=True)
class Screen:
    """`path` is worked out from what the showcase made; `is_main` ones are shown in the dark and narrow too."""

    name: str
    path: Callable[[Showcase], str]
    is_main: bool = False
    is_public: bool = False
    by_grace: bool = False
    #: It listens to the server for as long as it is open.
    is_live: bool = False
    status: int = 200


SCREENS = (
    Screen("sign-in", lambda _: "/login", is_public=True),
    Screen("sign-up", lambda _: "/register", is_public=True),
    Screen("forgotten-password", lambda _: "/forgot-password", is_public=True),
    Screen("confirm-address", lambda _: "/verify-email?token=t", is_public=True),
    Screen("new-password", lambda _: "/reset-password?token=t", is_public=True),
    Screen("change-address", lambda _: "/confirm-email?token=t", is_public=True),
    Screen("invitation", lambda made: made.invitation, is_public=True),
    Screen("home", lambda _: "/", is_main=True),
    Screen("templates", lambda _: "/templates", is_main=True),
    Screen("template", lambda _: "/templates/client-onboarding"),
    Screen("workflows", lambda _: "/workflows"),
    Screen("workflow-new", lambda _: "/workflows/new"),
    Screen("workflow", lambda made: f"/workflows/{made.workflow}"),
    Screen("editor", lambda made: f"/workflows/{made.workflow}/edit", is_main=True),
    Screen("start", lambda made: f"/workflows/{made.workflow}/start"),
    Screen("dry-run", lambda made: f"/workflows/{made.workflow}/test"),
    Screen("versions", lambda made: f"/workflows/{made.intake}/versions"),
    Screen("version", lambda made: f"/workflows/{made.intake}/versions/1"),
    Screen("version-diff", lambda made: f"/workflows/{made.intake}/compare?from=1&to=2"),
    Screen("executions", lambda _: "/executions", is_main=True),
    Screen("execution-completed", lambda made: f"/executions/{made.completed}", is_main=True),
    Screen("execution-waiting", lambda made: f"/executions/{made.waiting}", is_live=True),
    Screen("execution-failed", lambda made: f"/executions/{made.failed}"),
    Screen("execution-parallel", lambda made: f"/executions/{made.long}"),
    Screen("execution-graph", lambda made: f"/executions/{made.waiting}/graph", is_main=True, is_live=True),
    Screen("execution-rerun", lambda made: f"/executions/{made.failed}/rerun"),
    Screen("execution-step", lambda made: f"/executions/{made.completed}?at=/do/1/Approve"),
    Screen("bulk-confirming", lambda _: "/executions/bulk?act=rerun&status=failed"),
    Screen("bulk-operations", lambda _: "/executions/bulk"),
    Screen("bulk-operation", lambda made: f"/executions/bulk/{made.bulk}"),
    Screen("tasks", lambda _: "/tasks", is_main=True, by_grace=True),
    Screen("task", lambda made: f"/tasks/{made.task}", is_main=True, by_grace=True),
    Screen("task-form", lambda made: f"/tasks/{made.form_task}", by_grace=True),
    Screen("task-link", lambda made: made.link, is_public=True),
    Screen("task-decided", lambda made: f"/tasks/{made.decided_task}"),
    Screen("schedules", lambda _: "/schedules", is_main=True),
    Screen("schedule", lambda made: f"/schedules/{made.schedule}"),
    Screen("events", lambda _: "/events"),
    Screen("event", lambda made: f"/events/{made.event}"),
    Screen("deliveries", lambda _: "/deliveries"),
    Screen("delivery", lambda made: f"/deliveries/{made.delivery}"),
    Screen("secrets", lambda _: "/secrets"),
    Screen("secret", lambda _: "/secrets/ledger_token"),
    Screen("second-factor", lambda _: "/second-factor"),
    Screen("not-found", lambda _: "/executions/00000000-0000-4000-8000-000000000000", status=404),
)


async def furnish(console: Console) -> Showcase:
    """Ada writes, publishes and starts, Grace decides what Ada may not."""
    ada, grace = console.ada, console.grace
    approval, onboarding, returns, reminder, review, intake = await asyncio.gather(
        made(ada, "document-approval", "Document approval"),
        made(ada, "client-onboarding", "Client onboarding"),
        made(ada, "tax-return-preparation", "Tax return preparation"),
        made(ada, "invoice-reminder", "Invoice reminder", rhythm=["14 days"]),
        made(ada, "kyc-follow-up", "KYC follow-up"),
        _intake(ada),
    )
    await check_put(ada, "/v1/secrets/ledger_token", {"value": "s3cret of the ledger"})
    completed, refused, open_paper, waiting, failed, long = await asyncio.gather(
        started(ada, approval, PAPER),
        started(ada, approval, {**PAPER, "title": "Price list 2026"}),
        started(ada, approval, {**PAPER, "title": "Data protection notice"}),
        started(ada, onboarding, CLIENT),
        started(ada, returns, {"email": "nobody@northwind.example", "year": 2025}),
        started(ada, intake, {"number": "O-1", "lines": [f"article {number}" for number in range(40)]}),
    )
    decided = await task_of(ada, completed)
    await decide(grace, decided, "approved", comment="Fine as it is.")
    await decide(grace, await task_of(ada, refused), "rejected", comment="Page 3 is missing.")
    sent = {"specversion": "1.0", "id": "1", "source": "/books", "type": "invoice.issued", "data": INVOICE}
    [event] = (await post(ada.api, "/v1/events", sent))["items"]
    delivery = await _deliver(ada, intake)
    for id, status in (
        (completed, "completed"),
        (failed, "failed"),
        (waiting, "waiting"),
        (long, "completed"),
    ):
        await until(ada, id, status)
    [schedule] = (await get(ada.api, f"/v1/schedules?workflow_id={review}"))["items"]
    improve = await task_of(ada, refused, title="Improve")
    assert reminder
    failures = {"filters": {"status": ["failed"]}, "expected": 1, "confirm_irreversible": False}
    bulk = await post(ada.api, "/v1/bulk/rerun", failures)
    await _invite(ada)
    return Showcase(
        workflow=approval,
        intake=intake,
        completed=completed,
        waiting=waiting,
        failed=failed,
        long=long,
        task=(await task_of(ada, open_paper))["id"],
        form_task=improve["id"],
        decided_task=decided["id"],
        schedule=schedule["id"],
        delivery=delivery,
        event=event["event_id"],
        bulk=bulk["id"],
        invitation=await console.link_to(GUEST),
        link=await console.link_to(CLIENT["email"]),
    )


async def made(person: Person, slug: str, name: str, **variables: Any) -> str:
    """A published copy of a template; its id."""
    body = {"name": name, "variables": variables}
    copy = await post(person.api, f"/v1/templates/{slug}/instantiate", body)
    assert copy["problems"] == [], copy["problems"]
    await post(person.api, f"/v1/workflows/{copy['id']}/publish", {})
    return str(copy["id"])


async def started(person: Person, workflow: str, input: Any) -> str:
    return str((await post(person.api, f"/v1/workflows/{workflow}/executions", {"input": input}))["id"])


async def task_of(
    person: Person, execution: str, *, title: str = "", seconds: float = PATIENCE
) -> dict[str, Any]:
    """The open task of an execution whose title begins like this, waited for."""
    ends = time.monotonic() + seconds
    while True:
        found = (await get(person.api, f"/v1/tasks?execution_id={execution}&status=open"))["items"]
        for task in found:
            if task["title"].startswith(title):
                return dict(task)
        assert time.monotonic() < ends, await get(person.api, f"/v1/executions/{execution}")
        await asyncio.sleep(0.1)


async def decide(
    person: Person, task: dict[str, Any], outcome: str, data: Any = None, comment: str | None = None
) -> dict[str, Any]:
    """Decide as a person; raises DemoFailed when it is refused."""
    word = {
        "outcome": outcome,
        "data": data,
        "comment": comment,
        "arguments_digest": task["arguments_digest"],
    }
    return await post(person.api, f"/v1/tasks/{task['id']}/decision", word)


async def until(person: Person, execution: str, status: str, seconds: float = PATIENCE) -> dict[str, Any]:
    """The execution once it has this status."""
    ends = time.monotonic() + seconds
    while (found := await get(person.api, f"/v1/executions/{execution}"))["status"] != status:
        assert time.monotonic() < ends, f"still {found['status']}: {found}"
        assert found["status"] not in ("completed", "failed", "cancelled") or found["status"] == status, found
        await asyncio.sleep(0.1)
    return found


async def check_put(person: Person, path: str, body: Any) -> dict[str, Any]:
    return check(await person.api.put(path, json=body))


async def _intake(person: Person) -> str:
    """Two versions of a workflow that a webhook starts."""
    body = {
        "name": "Order intake",
        "category": "sales",
        "definition": INTAKE,
        "triggers": [{"type": "manual"}, HOOK],
    }
    workflow = (await post(person.api, "/v1/workflows", {**body, "definition": {"do": INTAKE["do"][:2]}}))[
        "id"
    ]
    await post(person.api, f"/v1/workflows/{workflow}/publish", {})
    current = await person.api.get(f"/v1/workflows/{workflow}")
    check(
        await person.api.put(
            f"/v1/workflows/{workflow}", json=body, headers={"If-Match": current.headers["ETag"]}
        )
    )
    await post(person.api, f"/v1/workflows/{workflow}/publish", {})
    return str(workflow)


async def _invite(person: Person) -> None:
    """Somebody who has not come yet."""
    base = f"/v1/organizations/{person.organization_id}"
    roles = (await get(person.api, f"{base}/roles"))["items"]
    [role_id] = [each["id"] for each in roles if each["name"] == "member"]
    await post(person.api, f"{base}/invitations", {"email": GUEST, "role_id": role_id})


async def _deliver(person: Person, workflow: str) -> str:
    """An order that nobody signed: refused, and in the ledger."""
    listed = (await get(person.api, f"/v1/workflows/{workflow}/triggers"))["items"]
    [hook] = [each for each in listed if each["type"] == "webhook"]
    await post(person.api, f"/v1/triggers/{hook['id']}/rotate-secret", {})
    refused = await person.api.post(hook["url"], json={"number": "O-2"}, headers={"X-GitHub-Delivery": "1"})
    assert refused.status_code in (400, 401, 403), refused.text
    return str((await get(person.api, "/v1/deliveries"))["items"][0]["id"])
