"""A node with a wrong master key: providers are asked to come again, nothing counts as forged or lost."""

from dataclasses import replace
from datetime import UTC, datetime

import httpx2
import pytest

from api.app import create_app
from api.collaborators import Collaborators
from db.keys import DataKeys
from tests.api.hooks import hooked
from tests.api.house import CATALOGUE, PROCESSES, SECURITY, House, house
from workers.secret_values import MasterKey

__all__ = ["house"]


@pytest.mark.parametrize("given", [MasterKey("test", b"x" * 32), MasterKey("other", b"m" * 32)])
async def test_an_authentic_webhook_is_not_called_forged(house: House, given: MasterKey) -> None:
    hook = await hooked(house)
    keys = DataKeys(house.database, [given])
    app = create_app(
        Collaborators(
            house.database, keys, CATALOGUE, house.dispatcher, SECURITY, lambda: datetime.now(UTC), PROCESSES
        )
    )
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await replace(hook, http=http).send({"order": 1})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await house.everything("deliveries") == []
    again = await hook.send({"order": 1})
    assert again.status_code == 202, "it comes in when the right key is back"
