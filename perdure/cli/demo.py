"""The demo: a client is taken on, through the public API alone, and the mirror is held against Temporal."""

import asyncio
import json
import secrets
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
from rich.console import Console
from temporalio.client import Client, WorkflowExecutionDescription

from perdure.cli import demo_report
from perdure.cli.demo_http import DemoFailed, check, get, post
from perdure.cli.demo_people import free_address, invite_colleague, show_people, sign_in, sign_up
from perdure.cli.demo_waiting import decided_by_two, until
from perdure.cli.mailbox import Letter, Mailbox
from workers.devstack.stack import Stack

DEFINITION = Path(__file__).resolve().parents[2] / "examples" / "client-onboarding.yaml"
SAMPLE = {
    "name": "Northwind Bakery Ltd",
    "email": "owner@northwind-bakery.example",
    "documents": ["Certificate of incorporation", "Proof of address", "Last tax return"],
}
ADMINISTRATOR = "ada@harbour-lane.example"
SCOPES = [
    *("workflows:read", "workflows:write", "workflows:publish"),
    *("executions:read", "executions:start", "executions:cancel", "executions:control"),
    *("tasks:read", "tasks:decide", "clients:read", "clients:write"),
    *("secrets:read", "secrets:write"),
    *("triggers:read", "triggers:write", "deliveries:read", "deliveries:replay"),
    *("events:read", "events:write"),
]
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """The demo's sign-ins, made on the first run and kept beside the stack's other secrets (mode 0600)."""

    email: str
    password: str
    organization_id: str
    api_key: str
    #: Of the colleague who decides what Ada may not; files of earlier releases hold none.
    colleague_key: str | None = None

    @classmethod
    def read(cls, path: Path) -> "Account | None":
        return cls(**json.loads(path.read_text())) if path.exists() else None

    def write(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(json.dumps({name: getattr(self, name) for name in self.__slots__}, indent=2))


async def run_demo(stack: Stack, *, console: Console) -> dict[str, Any]:
    """Run the onboarding once and print what happened; the report says whether every execution completed."""
    async with httpx2.AsyncClient(base_url=stack.urls["api"], timeout=30.0, trust_env=False) as http:
        mailbox = Mailbox(Path(stack.files["mail"]))
        account = await _account(stack, http, mailbox)
        await stack.adopt_demo_organization(UUID(account.organization_id))
        await _ready(http)
        owner = await sign_in(http, account.email, account.password)
        account, invited = await _colleague(stack, http, mailbox, account, owner)
        http.headers["Authorization"] = f"Bearer {account.api_key}"
        workflow_id = await _published(http, f"{stack.urls['echo']}/records")
        execution, decision = await _onboard(http, workflow_id, str(account.colleague_key), console)
        steps = (await get(http, f"/v1/executions/{execution['id']}/steps"))["items"]
        del http.headers["Authorization"]
        people = await show_people(http, account.organization_id, owner)
    description = await _described(stack, execution["temporal_workflow_id"])
    report = {
        "completed": execution["status"] == "completed",
        "executions": [execution],
        "steps": steps,
        "temporal": _facts(description),
        "mail": _shown(mailbox.newest(str(SAMPLE["email"]))),
        "decision": decision,
        "people": {**people, "invited": invited},
        "run_page": f"{stack.urls['console']}executions/{execution['id']}",
        "login": {"url": stack.urls["login"], "email": account.email, "password": account.password},
        "api_key": account.api_key,
        "curl": _curl(stack.urls["api"], workflow_id, account.api_key),
    }
    demo_report.show(console, report, stack.urls)
    return report


async def _account(stack: Stack, http: httpx2.AsyncClient, mailbox: Mailbox) -> Account:
    path = stack.data_dir / "demo.json"
    known = Account.read(path)
    if known is not None:
        return known
    password = secrets.token_urlsafe(12)
    opened = await sign_up(http, mailbox, ADMINISTRATOR, password)
    key = await post(http, "/v1/me/api-keys", {"name": "demo", "scopes": SCOPES}, opened.bearer)
    account = Account(ADMINISTRATOR, password, opened.organization_id, key["key"])
    account.write(path)
    return account


async def _colleague(
    stack: Stack, http: httpx2.AsyncClient, mailbox: Mailbox, account: Account, owner: dict[str, str]
) -> tuple[Account, dict[str, Any] | None]:
    """Four eyes need a second person: invited on the first run, and then known by her key."""
    if account.colleague_key is not None:
        return account, None
    address = await free_address(http, account.organization_id, owner)
    invited = await invite_colleague(http, mailbox, account.organization_id, owner, address)
    known = replace(account, colleague_key=invited.pop("api_key"))
    known.write(stack.data_dir / "demo.json")
    return known, invited


async def _ready(http: httpx2.AsyncClient) -> None:
    """The node was restarted when it adopted the organization."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        try:
            if (await http.get("/readyz")).status_code == httpx2.codes.OK:
                return
        except httpx2.TransportError:
            pass  # not listening yet
        await asyncio.sleep(0.1)
    raise DemoFailed("the node did not become ready; see logs/node.log in the data directory")


async def _published(http: httpx2.AsyncClient, partner: str) -> str:
    """Create the workflow once; publish it again only where it changed (the partner's port may have)."""
    body = {
        "name": "Client onboarding",
        "category": "client_onboarding",
        "definition": DEFINITION.read_text(),
        "variables": {"partner": {"schema": {"type": "string"}, "default": partner}},
    }
    found = (await get(http, "/v1/workflows?q=Client onboarding"))["items"]
    if found:
        workflow_id: str = found[0]["id"]
        current = await http.get(f"/v1/workflows/{workflow_id}")
        answer = await http.patch(
            f"/v1/workflows/{workflow_id}", json=body, headers={"If-Match": current.headers["ETag"]}
        )
        check(answer)
    else:
        workflow_id = (await post(http, "/v1/workflows", body))["id"]
    await post(http, f"/v1/workflows/{workflow_id}/publish", {})
    return workflow_id


async def _onboard(
    http: httpx2.AsyncClient, workflow_id: str, colleague: str, console: Console
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Start it as Ada, who may not decide it herself; the execution when it has ended, and what was decided."""
    started = await post(
        http,
        f"/v1/workflows/{workflow_id}/executions",
        {"input": SAMPLE},
        {"Idempotency-Key": secrets.token_hex(8)},
    )
    path = started["links"]["self"]
    waiting = await until(http, path, {"waiting"})
    title = waiting["waiting_on"]["title"]
    console.print(f"The execution waits for a person: {title}", markup=False)
    decision = await decided_by_two(http, waiting["waiting_on"]["task_id"], colleague)
    return await until(http, path, {"completed"}), decision


async def _described(stack: Stack, workflow_id: str) -> WorkflowExecutionDescription:
    client = await Client.connect(stack.urls["temporal"])
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        description = await client.get_workflow_handle(workflow_id).describe()
        if description.close_time is not None or time.monotonic() > ends:
            return description
        await asyncio.sleep(0.05)  # the row is committed first, the execution closes right after


def _facts(description: WorkflowExecutionDescription) -> dict[str, Any]:
    return {
        "workflow_id": description.id,
        "run_id": description.run_id,
        "status": description.status.name if description.status else None,
        "history_events": description.history_length,
        "started_at": _text(description.start_time),
        "completed_at": _text(description.close_time),
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _shown(letter: Letter | None) -> dict[str, str] | None:
    return None if letter is None else {**letter.headers, "text": letter.text}


def _curl(api: str, workflow_id: str, key: str) -> str:
    body = json.dumps({"input": SAMPLE})
    return (
        f"curl -s {api}/v1/workflows/{workflow_id}/executions -H 'Authorization: Bearer {key}'"
        f" -H 'Content-Type: application/json' -H \"Idempotency-Key: $(date +%s)\" -d '{body}'"
    )
