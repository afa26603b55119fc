"""Raising: the step fails with the error that its definition describes."""

from domain.definitions.checks import checked
from domain.definitions.faults import Fault
from domain.definitions.program import Raise, Step
from domain.definitions.state import Frame

from .activation import Activation


def fault(activation: Activation, step: Step, work: Raise, frame: Frame) -> Fault:
    """The error, its expressions evaluated. It arises at the step, unless it says that it arose elsewhere."""
    error = activation.evaluate(work.error, frame.value, frame)
    checked(error, f"The error of step '{step.name}'", activation.meter)
    assert isinstance(error, dict)
    type, status = error["type"], error["status"]
    if isinstance(status, float) and status.is_integer():
        status = int(status)
    if not isinstance(type, str) or not type or not isinstance(status, int) or isinstance(status, bool):
        raise Fault(
            "expression",
            400,
            "Not an error",
            f"`raise` of step '{step.name}' needs a text as `type` and a whole number as `status`",
        )
    detail, instance = error.get("detail"), error.get("instance")
    return Fault(
        type,
        status,
        _text(error.get("title")) or f"Raised by '{step.name}'",
        _text(detail),
        instance=instance if isinstance(instance, str) and instance.startswith("/") else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
