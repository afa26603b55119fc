"""Which steps an execution may still come to from where it stands, and which of them it surely comes to.

Sure means: if nothing fails, whatever the data are. Expressions are not evaluated here: where one decides, every way
counts and none is sure.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.definitions.program import (
    Block,
    Do,
    For,
    Fork,
    Function,
    Listen,
    Program,
    Raise,
    Step,
    Switch,
    Try,
)
from domain.definitions.state import Frame, State


def ahead(program: Program, state: State) -> dict[str, bool]:
    """By their pointers, in the order of the definition, the steps that may be entered yet: whether that is sure."""
    way = _Way(program, state)
    roots = [frame for frame in state.frames.values() if frame.parent is None]
    for root in roots:
        way.open_block(root, sure=True)
    order = {pointer: place for place, pointer in enumerate(program.steps)}
    return dict(sorted(way.reached.items(), key=lambda each: order[each[0]]))


@dataclass(slots=True)
class _End:
    """How a list of steps may end: by coming to its end (`left`), by ending the whole execution (`over`)."""

    left: bool = False
    over: bool = False


@dataclass(slots=True)
class _Way:
    program: Program
    state: State
    reached: dict[str, bool] = field(default_factory=dict)
    #: Lists being followed, or followed already, and whether they were surely entered.
    _followed: dict[tuple[str, int, bool], _End] = field(default_factory=dict)

    # Where the execution stands

    def open_block(self, frame: Frame, *, sure: bool) -> _End:
        block = self.program.blocks[frame.pointer]
        inside = next(
            (each for each in self.state.frames.values() if each.parent == frame.id and each.kind == "step"),
            None,
        )
        if inside is None:
            return self._due(block, frame.at, sure=sure)
        step = self.program.steps[inside.pointer]
        end = self._open_step(step, inside, sure=sure)
        after = _End(over=end.over)
        if end.left:
            for index, certain in _targets(block, frame.at, step, sure=sure and not end.over):
                self._join(after, self._go(block, index, sure=certain))
        return after

    def _due(self, block: Block, at: int, *, sure: bool) -> _End:
        """The next step is due, in a race too; or the last one has ended."""
        if at >= len(block.steps):
            return _End(left=True)
        end = self.follow(block.pointer, at, sure=sure)
        step = block.steps[at]
        self.reached[step.pointer] = self.reached[step.pointer] or step.condition is None
        return end

    def _open_step(self, step: Step, frame: Frame, *, sure: bool) -> _End:
        blocks = [each for each in self.state.frames.values() if each.parent == frame.id]
        work = step.work
        competes = isinstance(work, Fork) and work.compete
        inside = sure and not competes
        if inside and len(blocks) > 1:  # one branch may end the execution before the others are through
            inside = not any(self.open_block(block, sure=False).over for block in blocks)
        ends = [self.open_block(block, sure=inside) for block in blocks]
        over = any(end.over for end in ends)
        left = not ends or (any if competes else all)(end.left for end in ends)
        sure = sure and not over
        match work:
            case For():
                rest = frame.items is not None and frame.at + 1 < len(frame.items)
                if rest:
                    self.follow(work.block, 0, sure=sure and left and work.condition is None)
                left = True
            case Try():
                # A pause between two attempts has no block; the next attempt follows it.
                tries = not blocks or any(block.pointer == work.block for block in blocks)
                if tries and work.catch.retry is not None:
                    self.follow(work.block, 0, sure=False)
                if tries and work.catch.block is not None:
                    self.follow(work.catch.block, 0, sure=False)
                left = True
            case Listen(foreach=foreach) if foreach is not None and foreach.block is not None:
                self.follow(foreach.block, 0, sure=False)
                left = True
            case _:
                pass
        for extension in step.extensions:
            if extension.after is not None:
                self.follow(extension.after, 0, sure=False)
        return _End(left, over)

    # What has not begun

    def follow(self, pointer: str, index: int, *, sure: bool) -> _End:
        """From one step of a list to wherever it may go; each way is followed once."""
        known = self._followed.get((pointer, index, sure))
        if known is not None:
            return known
        # Until it is known otherwise, a list that leads to itself comes to its end.
        self._followed[pointer, index, sure] = _End(left=True)
        block = self.program.blocks[pointer]
        end = self._go(block, index, sure=sure)
        self._followed[pointer, index, sure] = end
        return end

    def _go(self, block: Block, index: int, *, sure: bool) -> _End:
        end = _End()
        waiting, seen = [(index, sure)], set[tuple[int, bool]]()
        while waiting:
            at, certain = waiting.pop()
            if at >= len(block.steps):
                end.left = True
                continue
            if at < 0:
                end.over = True
                continue
            if (at, certain) in seen or (at, True) in seen:
                continue
            seen.add((at, certain))
            step = block.steps[at]
            inner = self._enter(step, sure=certain and step.condition is None)
            end.over = end.over or inner.over
            if inner.left or step.condition is not None:
                waiting += _targets(block, at, step, sure=certain and not inner.over and inner.left)
        return end

    def _enter(self, step: Step, *, sure: bool) -> _End:
        self.reached[step.pointer] = self.reached.get(step.pointer, False) or sure
        for extension in step.extensions:
            for pointer in filter(None, (extension.before, extension.after)):
                self.follow(pointer, 0, sure=sure and extension.when is None)
        match step.work:
            case Raise():
                return _End()
            case Do(block=block) | Function(block=block):
                return self.follow(block, 0, sure=sure)
            case For(block=block):
                over = self.follow(block, 0, sure=False).over
                return _End(True, over)
            case Fork(branches=branches, compete=compete):
                sure = sure and not compete
                if sure:  # one branch may end the execution before the others are through
                    sure = not any(self.follow(branch, 0, sure=False).over for branch in branches)
                ends = [self.follow(branch, 0, sure=sure) for branch in branches]
                left = (any if compete else all)(end.left for end in ends)
                return _End(left, any(end.over for end in ends))
            case Try(block=block, catch=catch):
                end = self.follow(block, 0, sure=sure)
                if catch.block is not None:
                    self._join(end, self.follow(catch.block, 0, sure=False))
                return _End(True, end.over)
            case Listen(foreach=foreach) if foreach is not None and foreach.block is not None:
                return _End(True, self.follow(foreach.block, 0, sure=False).over)
        return _End(True)

    def _join(self, end: _End, other: _End) -> None:
        end.left = end.left or other.left
        end.over = end.over or other.over


def _targets(block: Block, at: int, step: Step, *, sure: bool) -> Iterator[tuple[int, bool]]:
    """Where a step of the list may lead; behind the last one the list has ended, -1 ends the execution."""
    ways = {step.then}
    match step.work:
        case Switch(cases=cases):
            ways = {case.then for case in cases}
            if all(case.when is not None for case in cases):
                ways.add(step.then)
        case Try(catch=catch) if catch.then is not None:
            ways.add(catch.then)
        case _:
            pass
    if step.condition is not None:
        ways.add("continue")
    for way in sorted(ways):
        match way:
            case "continue":
                index = at + 1
            case "exit":
                index = len(block.steps)
            case "end":
                index = -1
            case name:
                index = block.index[name]
        yield index, sure and len(ways) == 1
