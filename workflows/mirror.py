"""Sends the state of an execution along with its activities, so that mirroring costs no event of its own."""

from typing import Any, Protocol, runtime_checkable

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.worker import (
    Interceptor,
    StartActivityInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from domain.mirror import Snapshot

HEADER = "mirror"


@runtime_checkable
class Mirrored(Protocol):
    """A workflow whose state is mirrored."""

    def snapshot(self) -> Snapshot | None:
        """The state now, or None while nothing shall be mirrored."""
        ...


class MirrorInterceptor(Interceptor):
    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = {**input.headers, **_header()}
        return super().start_activity(input)

    def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = {**input.headers, **_header()}
        return super().start_local_activity(input)


def _header() -> dict[str, Payload]:
    instance = workflow.instance()
    snapshot = instance.snapshot() if isinstance(instance, Mirrored) else None
    if snapshot is None:
        return {}
    return {HEADER: workflow.payload_converter().to_payload(snapshot.as_json())}
