"""One line per happening: JSON for machines, words for terminals; each says whose execution and step it is about.

No line holds a value of a tenant: what an exception says may quote one, so only its type and place are written.
"""

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.contextvars import bound_contextvars
from structlog.types import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

_OURS: Final = ("method", "route", "status", "duration_ms")
#: They write down every address they call, with its query.
_CHATTY: Final = ("httpx2", "httpcore2", "botocore", "boto3", "urllib3", "s3transfer")
#: So many frames of a traceback are told, the innermost ones.
FRAMES: Final = 30


def configure(level: str, format: str = "auto", stream: TextIO | None = None) -> None:
    """Send everything the process logs to one handler; `format` is "json", "console" or "auto".

    Libraries that log through the standard library (uvicorn, SQLAlchemy, temporalio) go through it as well.
    """
    target = stream or sys.stderr
    is_console = format == "console" or (format == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                _extras,
                _core_fields,
                _workflow_context,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _exception,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(is_console, target.isatty()),
            ],
            keep_exc_info=False,
            use_get_message=True,
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Their lines name what they are about in fields of ours.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False


def forward_core() -> None:
    """Send what Temporal's core (Rust) says the same way. Once per process, and before any client is made.

    Its lines come some milliseconds late, with the time at which they were said.
    """
    forwarding = LogForwardingConfig(
        logging.getLogger("temporalio.core"),
        append_target_to_name=False,
        prepend_target_on_message=False,
        append_log_fields_to_message=False,
    )
    says = LoggingConfig(TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding)
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=says)))


def _renderers(is_console: bool, colors: bool) -> list[Processor]:
    if is_console:
        return [_places_in_words, structlog.dev.ConsoleRenderer(colors=colors)]
    return [structlog.processors.JSONRenderer(serializer=_as_json)]


def _as_json(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def _places_in_words(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    chain = event.get("exception")
    if isinstance(chain, list):
        event["exception"] = "\n".join(
            "\n".join([each["type"], *(f"    {place}" for place in each["at"])]) for each in chain
        )
    return event


def _extras(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    for name in _OURS:
        value = getattr(record, name, None)
        if value is not None:
            event[name] = value
    return event


def _workflow_context(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Workflow code runs on threads that know no context but Temporal's own."""
    if "execution" not in event and workflow.in_workflow():
        event.update(about(workflow.info().workflow_id))
    return event


def _core_fields(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """What the core knows beside its words: where in it they were said, and of which workflow."""
    said = getattr(event.get("_record"), "temporal_log", None)
    if said is not None:
        fields = dict(said.fields)
        event.update(about(str(fields.get("workflow_id", ""))))
        event["target"] = said.target
        event["core"] = fields
    return event


def concerning(workflow_id: str) -> AbstractContextManager[None]:
    """Whatever is logged within, by whomever, says which execution it is about."""
    return bound_contextvars(**about(workflow_id))


def reason(error: BaseException) -> str:
    """What an error says, or what it is called: a TimeoutError says nothing."""
    return str(error) or type(error).__name__


def about(workflow_id: str) -> Mapping[str, str]:
    """The fields for what happens inside an execution; empty for ids that are not ours."""
    organization, _, rest = workflow_id.partition("/")
    _, _, execution = rest.partition("/")
    return {"organization": organization, "execution": execution} if execution else {}


def _exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = told(error)
    return event


def told(error: BaseException) -> list[MutableMapping[str, Any]]:
    """An exception and what it came from: types, codes and places, but nothing it says."""
    chain: list[MutableMapping[str, Any]] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 5:
        entry: dict[str, Any] = {"type": f"{type(current).__module__}.{type(current).__qualname__}"}
        for code in ("sqlstate", "errno", "status", "type"):
            value = getattr(getattr(current, "orig", current), code, None)
            if value is not None and isinstance(value, int | str):
                entry[code if code != "type" else "kind"] = value
        frames = traceback.extract_tb(current.__traceback__)[-FRAMES:]
        entry["at"] = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
        chain.append(entry)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain


def _short(path: str) -> str:
    """The last three parts of a file's path are enough to find it."""
    return "/".join(path.replace("\\", "/").split("/")[-3:])
