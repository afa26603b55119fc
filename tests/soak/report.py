"""What a soak says when it ends: how much was asked, what was answered, what nobody may find."""

from collections.abc import Iterator

from tests.soak.campaign import Outcome


def wrong(outcome: Outcome) -> list[str]:
    """Every failed check with the request that shows it, and whatever kept schemathesis from testing."""
    findings = [
        f"{each.title}: {each.operation}\n{each.message}\n{each.curl}" for each in outcome.findings.values()
    ]
    return findings + outcome.errors


def summary(outcome: Outcome) -> Iterator[str]:
    """Lines for people."""
    statuses = ", ".join(f"{count} x {status}" for status, count in sorted(outcome.statuses.items()))
    yield f"{outcome.requests} requests to {len(outcome.by_operation)} operations: {statuses}"
    yield f"{outcome.signed_up} owners signed up: the others had lost their rights to a request"
    never = sorted(
        operation
        for operation, found in outcome.by_operation.items()
        if not any(200 <= status < 300 for status in found)
    )
    yield f"never accepted, only ever refused: {', '.join(never) or 'none'}"
    for each in wrong(outcome):
        yield f"\n✗ {each}"
