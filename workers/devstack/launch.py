"""Start one part of the stack so that it cannot outlive its supervisor.

Run as a script with an isolated interpreter (`python -I -S launch.py PARENT SIGNAL UID GID -- COMMAND…`)
because both steps must happen in the child between fork and exec, and code there is unsafe in a process
that has threads. The death signal is asked for after the change of user: the kernel forgets it otherwise.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
KEEP_USER = "-"


def main(arguments: list[str]) -> None:
    parent, death_signal, uid, gid, _separator, *command = arguments
    if uid != KEEP_USER:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):  # the supervisor died before the kernel knew to tell us
        os._exit(128 + signal.SIGTERM)
    os.execv(command[0], command)  # noqa: S606  # no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
