"""Cron expressions in definitions and triggers: what is wrong with one, and what is easily misunderstood."""

from domain.definitions.validation.report import Report
from domain.schedules.cron import BadCron, Cron

_HOW = "Write minute, hour, day, month and weekday, for example `0 9 * * 1`."


def check_cron(report: Report, at: str, value: object) -> None:
    """Adds `bad_cron`, also for a day that no calendar has; warns of two restrictions of the day."""
    text = report.text(at, value, "`cron`")
    if text is None:
        return
    try:
        cron = Cron.parse(text)
    except BadCron as refusal:
        hint = "Name a day that exists." if "never" in refusal.message else _HOW
        report.add(at, "bad_cron", refusal.message, hint)
        return
    if cron.either_day:
        report.add(
            at,
            "either_day",
            "Both the day of the month and the day of the week are restricted: it fires when either of them fits.",
            "Write `*` for one of them, if that is not meant.",
            severity="warning",
        )
