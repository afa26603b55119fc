"""Every page, and what pages load: a stylesheet and an icon, no script."""

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse

from api.console import factor, home, joining, login
from api.console.templates import HERE

router = APIRouter(include_in_schema=False)
router.include_router(home.router)
router.include_router(login.router)
router.include_router(factor.router)
router.include_router(joining.router)

ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#1d5c63"/>
<path d="M11 25V8h6a5.5 5.5 0 0 1 0 11h-6" fill="none" stroke="#fff" stroke-width="3.4"/></svg>
"""


@router.get("/static/console.css")
async def stylesheet() -> FileResponse:
    return FileResponse(HERE / "console.css", media_type="text/css", headers={"Cache-Control": "max-age=300"})


@router.get("/static/icon.svg")
async def icon() -> Response:
    return Response(ICON, media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})
