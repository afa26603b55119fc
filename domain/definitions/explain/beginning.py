"""How it begins: who or what starts the workflow, and what it needs."""

from collections.abc import Mapping
from typing import Any

from domain.definitions import phrases
from domain.definitions.outline import at
from domain.definitions.phrases import counted, listed, visible
from domain.schedules.cron import BadCron
from domain.schedules.words import cron_in_words


def beginning(definition: Any, triggers: Any) -> str:
    when = listed(_starts(definition, triggers), "or") or "somebody starts it"
    summary = at(definition, "document", "summary")
    told = [] if not summary else [_sentence(visible(summary, 500))]
    told.append(f"It begins when {when}.")
    needs = _needs(at(definition, "input", "schema", "document"))
    if needs:
        told.append(f"It needs {needs}.")
    limit = phrases.timeout(
        definition if isinstance(definition, Mapping) else {}, at(definition, "use") or {}
    )
    if limit is not None:
        told.append(f"If it is not done after {limit}, it is given up.")
    return " ".join(told)


def _starts(definition: Any, triggers: Any) -> list[str]:
    found = (
        [_trigger(each) for each in triggers if isinstance(each, Mapping)]
        if isinstance(triggers, list)
        else []
    )
    found += _schedule(at(definition, "schedule"))
    return [each for each in found if each]


def _trigger(trigger: Mapping[str, Any]) -> str:
    if trigger.get("is_active") is False:
        return ""
    name = f" “{visible(trigger['name'], 60)}”" if "name" in trigger else ""
    match trigger.get("type"):
        case "manual":
            return "somebody starts it"
        case "webhook":
            return f"another system calls its webhook{name}"
        case "schedule":
            return _due(at(trigger, "configuration")) or f"its schedule{name} says so"
        case "event":
            return _events(at(trigger, "configuration")) or f"an event{name} happens"
    return ""


def _due(configuration: Any) -> str | None:
    """When a cron expression is due, in the words that the pages of schedules use; None where there is none."""
    cron = at(configuration, "cron")
    try:
        words = cron_in_words(cron) if isinstance(cron, str) else None
    except BadCron:
        return None
    zone = at(configuration, "time_zone")
    where = f" ({visible(zone, 60)})" if isinstance(zone, str) else ""
    return None if words is None else f"the clock says so, {words}{where}"


def _events(configuration: Any) -> str:
    """Empty where nothing says which."""
    on, type = at(configuration, "on"), at(configuration, "type")
    if isinstance(on, Mapping):
        types = phrases.events({"to": on})
        return f"the events {listed(types)} have happened" if "all" in on else _happens(types)
    named = type if isinstance(type, list) else [type]
    return _happens([visible(each, 80) for each in named if isinstance(each, str) and each])


def _happens(types: list[str]) -> str:
    return f"the event {listed(types, 'or')} happens" if types else ""


def _schedule(schedule: Any) -> list[str]:
    if not isinstance(schedule, Mapping):
        return []
    found = []
    if "every" in schedule:
        found.append(f"{phrases.duration(schedule['every'])} have passed since it last began")
    if "cron" in schedule:
        found.append(_due(schedule) or f"the calendar says so (`{visible(schedule['cron'], 60)}`)")
    if "after" in schedule:
        found.append(f"{phrases.duration(schedule['after'])} have passed since it last ended")
    if "on" in schedule:
        found.append(_events(schedule) or "an event happens")
    return found


def _needs(schema: Any) -> str:
    fields = at(schema, "properties")
    required = at(schema, "required")
    names = required if isinstance(required, list) else []
    told = [_field(str(name), at(fields, str(name))) for name in names]
    others = [name for name in fields if name not in names] if isinstance(fields, Mapping) else []
    if others:
        more = f"{counted(len(others), 'more field')} may be given"
        return f"{listed(told)}; {more}" if told else f"nothing in particular; {more}"
    return listed(told)


def _field(name: str, schema: Any) -> str:
    kinds = {"array": "a list", "number": "a number", "integer": "a whole number", "boolean": "yes or no"}
    type = at(schema, "type")
    kind = kinds.get(type) if isinstance(type, str) else None
    return visible(name, 60) if kind is None else f"{visible(name, 60)} ({kind})"


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
