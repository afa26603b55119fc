"""An event is let in once for as long as its execution is kept, not only while the inbox remembers it."""

from sqlalchemy import text

from db.engine import create_engine
from tests.api.hooks import hooked, verdicts
from tests.api.house import House, house

__all__ = ["house"]


async def test_an_event_the_inbox_has_forgotten_starts_nothing_again(house: House, admin_url: str) -> None:
    hook = await hooked(house)
    first = await hook.send({"order": 7})
    assert first.status_code == 202
    admin = create_engine(admin_url)
    async with admin.begin() as connection:
        await connection.execute(text("DELETE FROM webhook_inbox"))
    await admin.dispose()
    again = await hook.send({"order": 7})
    assert again.status_code == 202
    assert again.json()["execution_id"] == first.json()["execution_id"]
    assert again.json()["duplicate"] is True
    assert sorted(await verdicts(house)) == ["accepted", "duplicate"]
    assert len(await house.everything("workflow_executions")) == 1
