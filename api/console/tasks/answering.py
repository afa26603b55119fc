"""What somebody sends who answers a task, on its page in the console as behind a link."""

from collections.abc import Mapping
from typing import Final

from api.console.frame.shell import Sent
from domain.errors import Invalid
from domain.executions import TaskOutcome
from domain.forms import Filled, Form, read
from domain.tasks import Decision

COMMENT_LENGTH: Final = 2000


def filled_in(form: Form | None, sent: Sent) -> Filled | None:
    """What was filled in; nothing where there is no form, or where rejecting leaves it aside."""
    if form is None or (sent.get("outcome") == TaskOutcome.REJECTED and "more" not in sent):
        return None
    return read(form, sent.lists())


def decision_of(sent: Sent, filled: Filled | None, *, is_form: bool) -> Decision:
    """Raises Invalid unless one button of the form was pressed."""
    if sent.get("outcome") not in set(TaskOutcome) or len(set(sent.lists()["outcome"])) > 1:
        raise Invalid(f"Nothing was recorded: choose {'Submit' if is_form else 'Approve or Reject'}.")
    digest = sent.get("arguments_digest", "")[:100] or None
    return Decision(
        TaskOutcome(sent["outcome"]), comment_in(sent), None if filled is None else filled.value, digest
    )


def comment_in(sent: Mapping[str, str]) -> str | None:
    return sent.get("comment", "").replace("\r\n", "\n").strip()[:COMMENT_LENGTH] or None
