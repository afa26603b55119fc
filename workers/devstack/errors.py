"""What can go wrong with the stack, said so that the reader can mend it."""


class StackError(Exception):
    """The stack cannot do what was asked; `mend` is the next thing to try."""

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(f"{problem} {mend}")
        self.problem = problem
        self.mend = mend


class AlreadyRunning(StackError):
    """Another supervisor holds the data directory."""

    def __init__(self, data_dir: str, pid: int) -> None:
        super().__init__(
            f"A stack is already running on {data_dir} (supervisor pid {pid}).",
            "Use it, stop it with `perdure down`, or choose another --data-dir.",
        )
        self.pid = pid
