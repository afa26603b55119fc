"""What an execution that a schedule starts is told about it, and the key under which it starts once."""

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.executions import TriggerType
from domain.schedules.occurrences import Origin


def trigger_of(name: str, nominal: datetime, origin: Origin) -> dict[str, Any]:
    """What becomes `$workflow.trigger`."""
    return {
        "type": TriggerType.SCHEDULE.value,
        "name": name,
        "nominal_time": nominal.isoformat(),
        "origin": origin.value,
    }


def trigger_key(schedule_id: UUID, nominal: datetime) -> str:
    """One execution per nominal fire, whatever else fails."""
    return f"schedule/{schedule_id}/{nominal.isoformat()}"
