"""To which course of its execution a run belongs: Temporal lets operators reset one to an earlier point."""

from datetime import datetime

from temporalio import workflow


class Lineage:
    """A reset run keeps the history and even the start time of the run it replaces; only its run id is new.

    What it reports must win over everything the replaced run has reported, so it counts from the moment in which
    it first did something of its own. `carried` is what an earlier run of the same course said.
    """

    def __init__(self, carried: str | None) -> None:
        self._carried = carried
        self._first: int | None = None

    @property
    def reset_run_id(self) -> str | None:
        """The run that began this course; None for the first course."""
        info = workflow.info()
        return self._carried if info.run_id == info.original_execution_run_id else info.run_id

    def began(self) -> int:
        """When this run began, in epoch ms, later than whatever the runs before it have reported.

        A reset run that is replayed from its history has forgotten its first moment and takes the next one: that
        is later still, so its reports stay in order.
        """
        info = workflow.info()
        if info.run_id == info.original_execution_run_id:
            # Not `start_time`, that of the first workflow task: when that task is lost, its repetition has another.
            return milliseconds(info.workflow_start_time)
        if self._first is not None:
            return self._first
        moment = now()
        if not workflow.unsafe.is_replaying():
            self._first = moment
        return moment


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def now() -> int:
    """The workflow's clock, in epoch ms."""
    return milliseconds(workflow.now())
