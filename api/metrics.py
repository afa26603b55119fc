"""What the node measures, for Prometheus: on the API's own port only to whoever holds the token."""

from hmac import compare_digest
from typing import Protocol

from fastapi import APIRouter, Request, Response

from api.errors import RouteNotFound, respond
from domain.errors import Unauthenticated

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

router = APIRouter(tags=["operations"])


class Exposition(Protocol):
    """Everything the process measures, in Prometheus' text format."""

    @property
    def token(self) -> str | None:
        """What a scraper sends as bearer; without one nothing is shown on the API's port."""

    async def text(self) -> bytes: ...


@router.get("/metrics", operation_id="operations_metrics")
async def metrics(request: Request) -> Response:
    """Needs `PERDURE_METRICS_TOKEN` as bearer; without that setting there is no such address."""
    exposition: Exposition | None = request.app.state.exposition
    if exposition is None or exposition.token is None:
        return respond(RouteNotFound())
    sent = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not compare_digest(sent.encode(), exposition.token.encode()):
        return respond(Unauthenticated("Send the metrics token as `Authorization: Bearer`."))
    return Response(await exposition.text(), media_type=CONTENT_TYPE)
