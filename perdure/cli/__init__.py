"""The command line. `main` is the entry point of the installed program."""

import os
import sys
import traceback

UNEXPECTED = 70  # EX_SOFTWARE: a fault of ours, not of the command


def main() -> None:
    """Run a command and end the process with exactly its status.

    A Temporal client can abort CPython while the interpreter shuts down (temporalio/sdk-python#300), which
    would turn a success into a crash. So the interpreter is not shut down: everything is flushed, then the
    process ends.
    """
    status = _run()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the reader of our pipe has gone; there is nobody left to tell
            status = status or 1
    os._exit(status)


def _run() -> int:
    try:
        from perdure.cli.app import app  # noqa: PLC0415  # an import that fails must end in our status too

        app(prog_name="perdure")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BaseException:  # noqa: BLE001  # the last place that can say anything
        traceback.print_exc()
        return UNEXPECTED
    return 0
