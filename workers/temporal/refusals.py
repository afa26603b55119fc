"""An activity whose arguments the codec refused fails once, and its execution with it."""

from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.faults import as_failure
from domain.definitions.faults import Fault
from workers.temporal.converter import Unopened


class RefusalInterceptor(Interceptor):
    """Outermost, so that nothing else looks at the arguments first."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        for argument in input.args:
            if isinstance(argument, Unopened):
                raise _failure(argument)
        return await super().execute_activity(input)


def _failure(argument: Unopened) -> ApplicationError:
    fault = argument.__dict__["fault"]
    assert isinstance(fault, Fault)
    return as_failure(fault)
