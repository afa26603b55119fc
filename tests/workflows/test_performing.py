"""Actions of their own: what is tried again, what is final, and what the ledger knows afterwards."""

from typing import Any

import pytest
from sqlalchemy import text

from db.session import Access, Role
from tests.workflows.engine import Engine

REFUSED = {
    "an inner address": {"call": "http", "with": {"method": "post", "endpoint": "http://127.0.0.1:80/x"}},
    "a closed port": {"call": "http", "with": {"method": "get", "endpoint": "http://example.com:1/x"}},
    "no mail server": {
        "call": "email.send",
        "with": {"to": "a@example.com", "subject": "Hello", "text": "Hello"},
    },
    "wrong arguments": {
        "call": "http",
        "with": {"method": "${ .method }", "endpoint": "http://example.com/x"},
    },
}


@pytest.mark.parametrize("step", REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_succeed_is_tried_once(engine: Engine, step: dict[str, Any]) -> None:
    row = await engine.run([{"do it": step}], {"method": "dance"})
    assert row["status"] == "failed", dict(row)
    assert row["error"]["instance"] == "/do/0/do it"
    [recorded] = await engine.steps(str(row["id"]))
    assert recorded["status"] == "failed"
    assert recorded["attempt"] == 1
    async with engine.parts.database.transaction(Access(Role.WORKER, engine.organization_id)) as tx:
        effects = (await tx.execute(text("SELECT status, attempts FROM effects"))).all()
    assert all(effect.status == "failed" and effect.attempts == 1 for effect in effects), effects
