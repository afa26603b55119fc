"""The demo's waiting: until an execution is so far, and until the second of two people may decide."""

import asyncio
import time
from typing import Any

import httpx2

from perdure.cli.demo_http import DemoFailed, check, get

PATIENCE_SECONDS = 60.0
ENDED = ("completed", "failed", "cancelled", "terminated", "timed_out")
RISK = "low"
COMMENT = "Checked against the register."


async def until(http: httpx2.AsyncClient, path: str, statuses: set[str]) -> dict[str, Any]:
    """The execution once it has one of the statuses. Raises DemoFailed when it ended with another."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        execution = await get(http, path)
        if execution["status"] in statuses:
            return execution
        if execution["status"] in ENDED:
            raise DemoFailed(f"the execution ended {execution['status']}: {execution['error_message']}")
        if time.monotonic() > ends:
            raise DemoFailed(f"the execution is still {execution['status']} after {PATIENCE_SECONDS:g} s")
        await asyncio.sleep(0.05)


async def decided_by_two(http: httpx2.AsyncClient, task_id: str, colleague: str) -> dict[str, Any]:
    """Whoever started it tries and is refused; her colleague decides as soon as the task comes to her.

    Answers what each was told: `refused`, `asked_first`, `asked_next`, `seconds` (until then), `risk`, `comment`.
    """
    path = f"/v1/tasks/{task_id}"
    task = await get(http, path)
    word = {"outcome": "approved", "comment": COMMENT, "data": {"risk": RISK}}
    word["arguments_digest"] = task["arguments_digest"]
    refused = await http.post(f"{path}/decision", json=word)
    if refused.status_code != httpx2.codes.FORBIDDEN:
        raise DemoFailed(f"whoever started it should not decide it: {refused.status_code} {refused.text}")
    began, grace = time.monotonic(), {"Authorization": f"Bearer {colleague}"}
    while not await _is_hers(http, task_id, grace):
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise DemoFailed(f"the task was not escalated within {PATIENCE_SECONDS:g} s")
        await asyncio.sleep(0.1)
    waited = time.monotonic() - began
    decided = check(await http.post(f"{path}/decision", json=word, headers=grace))
    return {
        "title": task["title"],
        "refused": refused.json()["detail"],
        "asked_first": task["assignees"],
        "asked_next": [each for each in decided["assignees"] if each not in task["assignees"]],
        "seconds": round(waited, 1),
        "risk": RISK,
        "comment": COMMENT,
    }


async def _is_hers(http: httpx2.AsyncClient, task_id: str, grace: dict[str, str]) -> bool:
    mine = await get(http, "/v1/tasks?mine=true&status=open", grace)
    return task_id in {each["id"] for each in mine["items"]}
