"""Scenarios run on the same engine as the workflows' own tests; the services they call are `World`."""

import pytest

from tests.conformance.world import World
from tests.workflows.conftest import idle_engine
from tests.workflows.engine import settings_for
from workers.settings import Settings

__all__ = ["idle_engine"]


@pytest.fixture
def engine_settings(database_url: str, temporal_server: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("workers.wiring.GuardedHttpClient", World)
    return settings_for(database_url, temporal_server)
