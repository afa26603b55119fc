"""Home: what waits for whoever signed in, and how their organization's work stands."""

from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from api.console.frame.shell import PageRoute, Visitor
from api.console.home.front import LATELY, MOST_TASKS, front_of
from api.console.tasks.taskwords import Telling
from db.overview import AT_REST, FAILED, MOST_COUNTED, UNDER_WAY
from domain.executions import ExecutionStatus
from domain.onetime import PATHS, Purpose
from domain.permissions import Permission

router = APIRouter(route_class=PageRoute, include_in_schema=False)

#: Holds the link of an invitation while its reader signs in.
INVITED = "perdure_invitation"
ENDED = "session-ended"
#: What the numbers on top count: word, name in `Counts`, statuses in the list they lead to.
TILES: Final = (
    ("Running", "under_way", UNDER_WAY),
    ("Waiting or paused", "at_rest", AT_REST),
    ("Completed in 7 days", "completed", (ExecutionStatus.COMPLETED,)),
    ("Failed in 7 days", "failed", FAILED),
)


@router.get("/")
async def home(request: Request, visitor: Visitor) -> Response:
    if INVITED in request.cookies:
        return RedirectResponse(PATHS[Purpose.INVITATION], 303)
    now = visitor.parts.clock()
    front = await front_of(visitor, now)
    return visitor.render(
        "home/home.html",
        front=front,
        tiles=[
            (word, name, getattr(front.counts, name), "&".join(f"status={each}" for each in statuses))
            for word, name, statuses in TILES
        ]
        if front.counts is not None
        else [],
        most_counted=MOST_COUNTED,
        most_tasks=MOST_TASKS,
        since=(now - LATELY).date().isoformat(),
        telling=Telling(visitor.zone, now, visitor.caller.user_id, {}, {}),
        may_read_workflows=visitor.may(Permission.WORKFLOWS_READ),
        may_write_workflows=visitor.may(Permission.WORKFLOWS_WRITE),
    )
