"""What people want of an execution while it runs: that it holds still, or goes on."""

from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.segments import Wish


class Control:
    """The wish with the highest number counts, in whatever order and however often wishes arrive."""

    def __init__(self, wish: Wish | None) -> None:
        self.wish = wish or Wish()

    @property
    def wants_pause(self) -> bool:
        return self.wish.paused

    def take(self, request: dict[str, Any] | None, *, paused: bool) -> None:
        """A request without a number was sent by an operator of Temporal, and simply counts."""
        number = (request or {}).get("number")
        if not isinstance(number, int):
            self.wish = Wish(self.wish.number, paused)
        elif number > self.wish.number:
            self.wish = Wish(number, paused)
