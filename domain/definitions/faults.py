"""Errors of the definition language: RFC 9457 objects that steps raise and `catch` will see."""

from typing import Any

_STANDARD = "https://serverlessworkflow.io/spec/1.0.0/errors/"
#: The same types as they have been published elsewhere, under the language's former and its present name.
_ALIASES = tuple(
    f"{scheme}://{host}/{form}/"
    for scheme in ("https", "http")
    for host in ("serverlessworkflow.io", "open-workflow-specification.org")
    for form in ("spec/1.0.0/errors", "dsl/errors/types")
)
#: The title of what the platform itself would not send.
REFUSED_HERE = "Connection refused by the platform"


def is_standard(type: str) -> bool:
    """One of the language's own error types; any other was written by a tenant."""
    return type.startswith(_STANDARD)


def same_type(one: object, other: object) -> bool:
    """Whether two error types mean the same: a standard one has many names, among them its last word."""
    return one == other or (isinstance(one, str) and isinstance(other, str) and _plain(one) == _plain(other))


def _plain(type: str) -> str:
    for alias in _ALIASES:
        if type.startswith(alias):
            return type[len(alias) :].rstrip("/")
    return type


class Fault(Exception):
    """A step failed in a way the definition may know about.

    `kind` is a standard short name (communication, validation, expression, timeout, authentication,
    authorization, configuration, runtime) or a full type URI; `status` follows HTTP;
    `instance` is the JSON pointer of the step where the fault began. `transient` says that a peer could not be
    reached, so that the engine may try again on its own; `fatal` that no definition may catch it. Neither is part of
    the error a definition sees.
    """

    def __init__(
        self,
        kind: str,
        status: int,
        title: str,
        detail: str | None = None,
        *,
        instance: str | None = None,
        transient: bool = False,
        fatal: bool = False,
    ) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.type = kind if ":" in kind else _STANDARD + kind
        self.status = status
        self.title = title
        self.detail = detail
        self.instance = instance
        self.transient = transient
        self.fatal = fatal

    def at(self, pointer: str) -> "Fault":
        """This fault with its origin set, unless it already has one."""
        if self.instance is None:
            self.instance = pointer
        return self

    def as_json(self) -> dict[str, Any]:
        error = {"type": self.type, "status": self.status, "title": self.title}
        if self.detail is not None:
            error["detail"] = self.detail
        if self.instance is not None:
            error["instance"] = self.instance
        return error

    @classmethod
    def from_json(cls, error: dict[str, Any]) -> "Fault":
        return cls(
            error["type"],
            error["status"],
            error["title"],
            error.get("detail"),
            instance=error.get("instance"),
        )


def state_too_large() -> Fault:
    return Fault(
        "runtime",
        413,
        "State too large",
        "The data this execution carries between its steps exceeds 1 MB; narrow it with `output.as` and"
        " `export.as`, or keep large values as documents",
    )
