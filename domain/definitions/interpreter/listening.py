"""Listening: events are offered to the steps that wait for them, and kept while none does.

An event that arrives reaches every step that listens then. One that no step takes is kept, and the first step
that asks for it later consumes it. What is kept is bounded: beyond that the oldest is dropped, and counted.
"""

from dataclasses import replace

from domain.definitions.checks import charge, checked
from domain.definitions.commands import AwaitEvents
from domain.definitions.expressions import Expression, Json
from domain.definitions.faults import Fault
from domain.definitions.program import Listen, Step
from domain.definitions.shaping import shape_flow
from domain.definitions.state import Frame, Todo
from domain.definitions.values import ValueRefused, check_value, measure
from domain.events import MAXIMUM_EVENT, MAXIMUM_KEPT, MAXIMUM_KEPT_BYTES, MAXIMUM_KEYS, key, read
from domain.executions import StepStatus

from . import leaving
from .activation import Activation, Commit
from .hearing import Hearing
from .matching import taken

#: An event that no step takes still costs its measuring and its place.
_ARRIVAL_FUEL = 20


def prepare(activation: Activation, step: Step, listen: Listen, frame: Frame) -> Commit:
    """Begin to listen: what is expected is asked once, then what has arrived already is looked through."""
    expected: dict[str, Json] = {}
    for correlation in listen.correlations:
        if isinstance(correlation.expect, Expression):
            expected[correlation.key] = activation.evaluate(correlation.expect, frame.value, frame)
        elif correlation.expect is not None:
            expected[correlation.key] = correlation.expect
    checked(expected, f"What step '{step.name}' expects", activation.meter)

    def commit() -> None:
        activation.stay(frame, StepStatus.WAITING, input=_told(listen))
        _keep(activation, frame, Hearing(expected=expected))
        activation.due(Todo("recall", frame.id))

    return commit


# Events that arrive


def arrive(activation: Activation, event: Json) -> None:
    """Take an event in; one that came before, or is no event, changes nothing."""
    state = activation.state
    if not isinstance(event, dict):
        return
    try:
        event = check_value(event, max_bytes=MAXIMUM_EVENT)
    except ValueRefused:  # nobody of ours sends such an event; an operator's own signal may bring it
        state.lost += 1
        return
    assert isinstance(event, dict)
    size = measure(event, MAXIMUM_EVENT)
    name = key(event)
    if name is not None:
        if name in state.event_keys:
            return
        state.event_keys.append(name)
        del state.event_keys[:-MAXIMUM_KEYS]
    listening: list[Json] = [id for id, frame in state.frames.items() if frame.hearing is not None]
    activation.due(Todo("hear", value={"event": event, "size": size, "offered": listening, "taken": False}))


def prepare_hear(activation: Activation, todo: Todo) -> Commit:
    """Offer an event to the next step that listened when it arrived; keep it if none takes it."""
    offer = todo.value
    assert isinstance(offer, dict)
    kept = {"event": offer["event"], "size": offer["size"]}
    offered = [id for id in _numbers(offer["offered"]) if _listening(activation, id) is not None]
    charge(activation.meter, _ARRIVAL_FUEL)
    if not offered:
        return lambda: None if offer["taken"] else _store(activation, [kept])
    frame = activation.state.frames[offered[0]]
    hearing = _take(activation, frame, kept)

    def commit() -> None:
        if hearing is not None:
            _take_in(activation, frame, hearing)
        rest: list[Json] = [*offered[1:]]
        is_taken = offer["taken"] or hearing is not None
        activation.due(Todo("hear", value={**kept, "offered": rest, "taken": is_taken}))

    return commit


def prepare_recall(activation: Activation, todo: Todo) -> Commit:
    """Look at the next event that was kept, after the one numbered `todo.value`."""
    frame = _listening(activation, todo.frame)
    if frame is None:
        return lambda: None
    seen = todo.value
    arrivals = activation.state.arrivals
    kept = next((each for each in arrivals if not isinstance(seen, int) or _number(each) > seen), None)
    if kept is None or _hearing(frame).closed:
        return lambda: _ask(activation, frame)
    charge(activation.meter, _ARRIVAL_FUEL)
    hearing = _take(activation, frame, kept)

    def commit() -> None:
        if hearing is not None:
            arrivals[:] = [each for each in arrivals if each is not kept]
            _take_in(activation, frame, hearing)
        activation.due(Todo("recall", frame.id, _number(kept)))

    return commit


def _ask(activation: Activation, frame: Frame) -> None:
    """Nothing more was kept: from now on the world brings what arrives."""
    hearing = _hearing(frame)
    if hearing.closed or hearing.asked:
        return
    step = activation.step(frame)
    assert isinstance(step.work, Listen)
    types = None if step.work.types is None else list(step.work.types)
    _keep(activation, frame, replace(hearing, asked=True))
    activation.state.pending[frame.occurrence] = frame.id
    activation.commands.append(AwaitEvents(frame.occurrence, step.name, types))


# What a step does with an event


def _take(activation: Activation, frame: Frame, kept: dict[str, Json]) -> Hearing | None:
    listen = activation.step(frame).work
    assert isinstance(listen, Listen)
    return taken(activation, frame, listen, _hearing(frame), kept)


def _take_in(activation: Activation, frame: Frame, hearing: Hearing) -> None:
    """An event was consumed: it waits for its turn, or it only ended the listening."""
    _keep(activation, frame, hearing)
    if len(hearing.queue) > MAXIMUM_KEPT or sum(map(_size, hearing.queue)) > MAXIMUM_KEPT_BYTES:
        activation.due(Todo("fault", frame.id, _too_many(activation.step(frame)).as_json()))
    elif not hearing.busy:
        activation.due(Todo("turn", frame.id))


def prepare_turn(activation: Activation, todo: Todo) -> Commit:
    """Begin the turn of the event that has waited longest, or end the step when there is nothing more to wait for."""
    frame = _listening(activation, todo.frame)
    if frame is None:
        return lambda: None
    hearing = _hearing(frame)
    step = activation.step(frame)
    listen = step.work
    assert isinstance(listen, Listen)
    if hearing.busy:
        return lambda: None
    if not hearing.queue:
        return lambda: _finish(activation, frame, step, hearing) if hearing.is_over else None
    event = hearing.queue[0]["event"]
    assert isinstance(event, dict)
    item = read(event, listen.read)
    checked(item, f"What step '{step.name}' reads of an event", activation.meter)
    begun = replace(hearing, queue=hearing.queue[1:], busy=True, item=item)

    def commit() -> None:
        _keep(activation, frame, begun)
        if listen.foreach is not None and listen.foreach.block is not None:
            activation.open_block(activation.state.frames[frame.id], listen.foreach.block, item)
        else:
            activation.due(Todo("heard", frame.id, item))

    return commit


def prepare_heard(activation: Activation, todo: Todo) -> Commit:
    """The turn of an event has ended with `todo.value`; `until` says whether it was the last."""
    frame = _listening(activation, todo.frame)
    if frame is None:
        return lambda: None
    step = activation.step(frame)
    listen = step.work
    assert isinstance(listen, Listen)
    hearing = _hearing(frame)
    output, exports, export = todo.value, False, None
    if listen.foreach is not None and not listen.foreach.flow.keeps_output:
        flow = listen.foreach.flow
        scope = activation.scope(frame, flow.leaving_names)
        shaped = shape_flow(flow, f"an event of step '{step.name}'", todo.value, scope, activation.meter)
        output, exports, export = shaped.output, shaped.exports, shaped.export
    heard = [*hearing.heard, output]
    checked(heard, f"What step '{step.name}' has heard", activation.meter)
    ended = replace(hearing, heard=heard, busy=False, item=None, at=hearing.at + 1)

    def commit() -> None:
        if exports:
            activation.export(frame, export)
        _keep(activation, frame, ended)
        asks = isinstance(listen.to.until, Expression)
        activation.due(Todo("until" if asks else "turn", frame.id))

    return commit


def prepare_until(activation: Activation, todo: Todo) -> Commit:
    """`until` is asked after each event, about all that was heard; what waits for its turn then was not consumed."""
    frame = _listening(activation, todo.frame)
    if frame is None:
        return lambda: None
    step = activation.step(frame)
    assert isinstance(step.work, Listen)
    until = step.work.to.until
    assert isinstance(until, Expression)
    hearing = _hearing(frame)
    if not activation.holds(until, hearing.heard, frame):
        return lambda: activation.due(Todo("turn", frame.id))

    def commit() -> None:
        unheard = len(hearing.queue)
        over = replace(hearing, queue=[], closed=True, consumed=hearing.consumed - unheard)
        _store(activation, hearing.queue, first=True)
        _finish(activation, frame, step, over)

    return commit


def _finish(activation: Activation, frame: Frame, step: Step, hearing: Hearing) -> None:
    state = activation.state
    state.pending.pop(frame.occurrence, None)
    assert isinstance(step.work, Listen)
    told = {**_told(step.work), "consumed": hearing.consumed}
    if state.lost:
        told["lost"] = state.lost
    activation.journal.note(frame, StepStatus.WAITING, input=told)
    # Without its hearing the step listens no more, and the variables of `foreach` are gone.
    ended = state.frames[frame.id] = replace(state.frames[frame.id], hearing=None)
    leaving.settle(activation, ended, step, hearing.heard)


# What is kept


def _keep(activation: Activation, frame: Frame, hearing: Hearing) -> None:
    frames = activation.state.frames
    frames[frame.id] = replace(frames[frame.id], hearing=hearing.as_json())


def _store(activation: Activation, events: list[dict[str, Json]], *, first: bool = False) -> None:
    """Keep events for steps that will ask for them; the oldest make room."""
    state = activation.state
    if first:  # older than all that is kept, and numbered so
        number = _number(state.arrivals[0]) if state.arrivals else state.arrived + 1
        state.arrivals[:0] = [
            {**each, "number": number - len(events) + index} for index, each in enumerate(events)
        ]
    else:
        for each in events:
            state.arrived += 1
            state.arrivals.append({**each, "number": state.arrived})
    while len(state.arrivals) > MAXIMUM_KEPT or sum(map(_size, state.arrivals)) > MAXIMUM_KEPT_BYTES:
        del state.arrivals[0]
        state.lost += 1


def _told(listen: Listen) -> dict[str, Json]:
    """What the step log says of a step that listens."""
    match listen.types:
        case None:
            return {}
        case [type]:
            return {"type": type}
    return {"types": list(listen.types)}


def _too_many(step: Step) -> Fault:
    return Fault(
        "runtime",
        429,
        "Too many events",
        f"more than {MAXIMUM_KEPT} events or {MAXIMUM_KEPT_BYTES // 1024} KB wait for their turn in `foreach` of"
        f" step '{step.name}'; do less for each, or filter what it listens to",
    )


def _listening(activation: Activation, id: int) -> Frame | None:
    """The step, if it has not ended meanwhile."""
    frame = activation.state.frames.get(id)
    return None if frame is None or frame.hearing is None else frame


def _hearing(frame: Frame) -> Hearing:
    assert frame.hearing is not None
    return Hearing.from_json(frame.hearing)


def _numbers(values: Json) -> list[int]:
    assert isinstance(values, list)
    return [value for value in values if isinstance(value, int)]


def _number(kept: dict[str, Json]) -> int:
    number = kept["number"]
    assert isinstance(number, int)
    return number


def _size(kept: dict[str, Json]) -> int:
    size = kept["size"]
    assert isinstance(size, int)
    return size
