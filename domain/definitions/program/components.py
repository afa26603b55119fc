"""Compiles what guards steps: fork, try, raise, timeouts, and the parts of `use` that these refer to by name."""

from collections.abc import Callable, Mapping
from typing import Any

from domain.definitions import durations
from domain.definitions.expressions import Expression, compile_template, is_expression
from domain.definitions.pointers import join

from .branching import Backoff, Catch, Fork, Raise, Retry, Try
from .flow import expression
from .parts import Role
from .shapes import Span

#: Loads a list of steps (of the branch of a fork: its one step) for a role; answers where the block stands.
LoadBlock = Callable[[str, list[dict[str, Any]], Role], str]


class Components:
    """The reusable parts of a document. Validation found every name, so a missing one is a fault of ours."""

    def __init__(self, use: Mapping[str, Any]) -> None:
        self._use = use

    def timeout(self, definition: Mapping[str, Any]) -> Span | None:
        """Of a step or of the document."""
        if "timeout" not in definition:
            return None
        return span(self._named("timeouts", definition["timeout"])["after"])

    def fork(self, pointer: str, fork: Mapping[str, Any], block: LoadBlock) -> Fork:
        at = join(pointer, "fork", "branches")
        branches = tuple(
            block(join(at, index), [entry], "branch")
            for index, entry in enumerate(fork.get("branches") or ())
        )
        return Fork(branches, fork.get("compete", False))

    def raising(self, definition: Mapping[str, Any]) -> Raise:
        return Raise(compile_template(dict(self._named("errors", definition["error"]))))

    def trying(self, pointer: str, definition: Mapping[str, Any], block: LoadBlock) -> Try:
        catch = definition["catch"]
        handler = join(pointer, "catch", "do")
        return Try(
            block=block(join(pointer, "try"), definition["try"], "try"),
            catch=Catch(
                filter=(catch.get("errors") or {}).get("with") or {},
                name=catch.get("as", "error"),
                when=_condition(catch, "when"),
                except_when=_condition(catch, "exceptWhen"),
                retry=self._retry(catch["retry"]) if "retry" in catch else None,
                block=block(handler, catch["do"], "catch") if catch.get("do") else None,
                then=catch.get("then"),
            ),
        )

    def _retry(self, written: Any) -> Retry:
        policy = self._named("retries", written)
        limit = policy.get("limit") or {}
        attempt = limit.get("attempt") or {}
        jitter = policy.get("jitter")
        return Retry(
            when=_condition(policy, "when"),
            except_when=_condition(policy, "exceptWhen"),
            delay=_span(policy, "delay"),
            backoff=_backoff(policy.get("backoff") or {}),
            jitter=None if jitter is None else (span(jitter["from"]), span(jitter["to"])),
            count=attempt.get("count"),
            attempt=_span(attempt, "duration"),
            total=_span(limit, "duration"),
        )

    def _named(self, part: str, written: Any) -> Mapping[str, Any]:
        """What is written out, or what its name stands for."""
        found: Mapping[str, Any] = self._use[part][written] if isinstance(written, str) else written
        return found


def span(value: Any) -> Span:
    if isinstance(value, str) and is_expression(value):
        return expression(value)
    return durations.parse(value)


def _span(part: Mapping[str, Any], name: str) -> Span | None:
    return span(part[name]) if name in part else None


def _condition(part: Mapping[str, Any], name: str) -> Expression | None:
    return expression(part[name]) if name in part else None


def _backoff(written: Mapping[str, Any]) -> Backoff:
    if "exponential" in written:
        return "exponential"
    return "linear" if "linear" in written else "constant"
