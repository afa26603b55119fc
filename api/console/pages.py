"""Every page, and what pages load: stylesheets, an icon, and small modules of our own."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from api.console.account import factor, joining, login
from api.console.executions import acts, bulk, execution, executions, graph, reruns
from api.console.frame.back import ways_back
from api.console.frame.templates import HERE
from api.console.home import home
from api.console.secrets import secrets
from api.console.tasks import inbox, tasklinks
from api.console.triggers import deliveries, events, schedules
from api.console.workflows import dryruns, editor, gallery, starts, versions, workflows
from api.errors import RouteNotFound
from domain.definitions.graph import STYLE

#: The first that fits an address is taken.
SLICES: Final = (
    home.router,
    login.router,
    factor.router,
    joining.router,
    events.router,
    deliveries.router,
    tasklinks.router,
    executions.router,
    bulk.router,  # before /executions/{id}: `bulk` is no id
    execution.router,
    acts.router,
    graph.router,
    reruns.router,
    schedules.router,
    secrets.router,
    inbox.router,
    gallery.router,
    workflows.router,
    versions.router,
    editor.router,
    starts.router,
    dryruns.router,
)
router = APIRouter(include_in_schema=False)
for each in (ways_back(SLICES), *SLICES):
    router.include_router(each)

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#1d5c63"/>
<path d="M11 25V8h6a5.5 5.5 0 0 1 0 11h-6" fill="none" stroke="#fff" stroke-width="3.4"/></svg>
"""


_FRESH: Final = {"Cache-Control": "max-age=300"}
#: By the address each is found at; nothing else is served, whatever an address holds.
_FILES: Final[dict[str, tuple[Path, str]]] = {
    "console.css": (HERE / "console.css", "text/css"),
    **{f"css/{file.name}": (file, "text/css") for file in sorted((HERE / "css").glob("*.css"))},
    **{f"js/{file.name}": (file, "text/javascript") for file in sorted((HERE / "js").glob("*.js"))},
}


@router.get("/static/icon.svg")
async def icon() -> Response:
    return Response(ICON, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


@router.get("/static/graph.css")
async def graph_style() -> Response:
    """The colours of drawings that stand in pages, which may bring no style of their own."""
    return Response(STYLE, media_type="text/css", headers=_FRESH)


@router.get("/static/{name:path}")
async def static(name: str) -> Response:
    """Raises RouteNotFound."""
    found = _FILES.get(name)
    if found is None:
        raise RouteNotFound
    file, kind = found
    return FileResponse(file, media_type=kind, headers=_FRESH)
