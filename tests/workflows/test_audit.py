"""The activity log through the real worker: what an execution changes bears its id, and an export is a process."""

import json
from datetime import UTC, datetime

from tests.workflows.engine import Engine


async def test_what_an_execution_changes_is_told_with_its_id(engine: Engine) -> None:
    execution = await engine.run([{"add": {"call": "client.create", "with": {"name": "Borg"}}}])
    assert execution["status"] == "completed"
    path = f"/v1/organizations/{engine.organization_id}/audit-log"
    (line,) = (await engine.http.get(path, params={"resource": "clients"})).json()["items"]
    assert (line["action"], line["actor"], line["user_id"]) == ("insert", "worker", None)
    assert line["metadata"]["origin"] == {"execution_id": str(execution["id"])}


async def test_an_export_runs_to_its_end_and_holds_the_log(engine: Engine) -> None:
    await engine.http.post("/v1/clients", json={"name": "Ann"})
    path = f"/v1/organizations/{engine.organization_id}/audit-log/exports"
    asked = {"format": "jsonl", "from": f"{datetime.now(UTC):%Y}-01-01T00:00:00Z"}
    export = (await engine.http.post(path, json=asked)).json()
    assert (await engine.ended(export["execution_id"]))["progress"] == 100
    done = (await engine.http.get(export["links"]["self"])).json()
    assert (done["status"], done["written"]) == ("completed", export["total"])
    lines = [json.loads(line) for line in (await engine.http.get(done["links"]["file"])).text.splitlines()]
    assert len(lines) == export["total"] > 3
    assert [line["created_at"] for line in lines] == sorted(line["created_at"] for line in lines)
    assert ("insert", "clients") in {(line["action"], line["resource"]) for line in lines}
