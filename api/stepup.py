"""Step-up: what is dangerous is done only by somebody who proved within ten minutes who they are."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends

from api.auth import Caller, Person
from api.collaborators import Parts
from domain.errors import Forbidden

CONFIRMED_FOR = timedelta(minutes=10)


class StepUpRequired(Forbidden):
    """Confirm that it is you: send your password, or your code, to /v1/auth/step-up, then repeat this."""

    code = "step_up_required"


async def require_confirmed(caller: Person, parts: Parts) -> Caller:
    """A dependency like `Person`: the login proved a password or code a moment ago. Keys never pass."""
    confirmed = caller.confirmed_at
    if confirmed is None or confirmed <= parts.clock() - CONFIRMED_FOR:
        raise StepUpRequired
    return caller


Confirmed = Annotated[Caller, Depends(require_confirmed)]
