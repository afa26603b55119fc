"""The native jq as an oracle, in a process of its own: a hostile line may hang or abort it, and only it.

The child answers JSON lines: all results of a program for an input, or the stage at which it failed. The
parent kills a child that is silent for too long, and starts another for the next question.
"""

import json
import resource
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 3.0
MEGABYTES = 1024
MOST_RESULTS = 200

Failed = str  # "compile", "run", "many" (more results than anybody wants) or "killed"


@dataclass(frozen=True)
class Answer:
    """`outcome` is the list of all results or the stage at which the program failed; `message` is jq's own."""

    outcome: Failed | list[Any]
    message: str = ""


class Oracle:
    """Asks a child process what jq makes of a program; close it when done."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._known: dict[tuple[str, str], Answer] = {}
        self.killed = 0

    def ask(self, program: str, given: Any) -> Answer:
        """Return jq's answer for a program and an input, remembered for the next time."""
        question = (program, json.dumps(given))
        if question not in self._known:
            self._known[question] = self._asked(*question)
        return self._known[question]

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _asked(self, program: str, given: str) -> Answer:
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = subprocess.Popen(
                [sys.executable, str(Path(__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
            )
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps([program, given]).encode() + b"\n")
        child.stdin.flush()
        ready, _, _ = select.select([child.stdout], [], [], SECONDS)
        line = child.stdout.readline() if ready else b""
        if not line:
            self.killed += 1
            self.close()
            return Answer("killed")
        outcome, message = json.loads(line)
        return Answer(outcome, message)


def _answer(program: str, given: str) -> tuple[Any, str]:
    import jq  # native: it is loaded in the child alone

    try:
        compiled = jq.compile(program)
    except ValueError as problem:
        return "compile", str(problem)
    results: list[Any] = []
    try:
        for result in compiled.input_text(given):
            results.append(result)
            if len(results) > MOST_RESULTS:
                return "many", ""
    except ValueError as problem:
        return "run", str(problem)
    return results, ""


def _serve() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEGABYTES << 20, MEGABYTES << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        program, given = json.loads(line)
        print(json.dumps(_answer(program, given)), flush=True)


if __name__ == "__main__":
    _serve()
