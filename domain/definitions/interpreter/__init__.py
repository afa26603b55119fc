"""Walks a program: `advance(program, state, event) → (state, commands, records)`, and nothing else happens.

Every transition is first *prepared*: it evaluates, may fail or run out of fuel, and changes nothing. Then it is
*committed*: it changes the state and cannot fail. So an activation that runs out of fuel leaves a state from
which another, with more time, repeats exactly that transition.

A step is entered (`entering`), its work begins (`work`, `loops`, `calls`, `forks`, `tries`, `listening`), it is
left (`leaving`) or fails (`failing`); `extending` stands around it. `taking` turns answers of the world into
transitions, `walk` carries out what is due, `execution` is the workflow around the steps, `journal` what is told.

What is not wanted any more (`stopping`), because of a fault, a race, a timeout (`timeouts`) or a cancellation, is told
to stop, and what follows waits until it has ended. `ending` and `compensating` close an execution that does not
succeed. A new keyword is a case of `work`.
"""

from .execution import begin
from .failing import MAXIMUM_STEP_FUEL, step_too_costly
from .hearing import has_backlog
from .journal import Watch
from .walk import Advance, advance

__all__ = ["MAXIMUM_STEP_FUEL", "Advance", "Watch", "advance", "begin", "has_backlog", "step_too_costly"]
