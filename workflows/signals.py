"""A signal may be sent by anybody with Temporal's own tools, in any shape: what does not fit changes nothing."""

from temporalio import workflow
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

#: What Python raises for missing or wrong arguments. Left alone, each would fail the workflow task for ever.
MISFITS = (TypeError, KeyError, AttributeError, ValueError)


class SignalInterceptor(Interceptor):
    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:
        try:
            await super().handle_signal(input)
        except MISFITS as error:
            workflow.logger.warning(
                "The signal %s does not have the form it must have (%s); it is dropped",
                input.signal,
                type(error).__name__,
            )
