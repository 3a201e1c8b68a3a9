"""Process 1 of a container: a small parent that passes signals on and reaps orphans, beside the program itself.

To process 1 the kernel delivers no signal that it has no handler for, so a SIGTERM in the program's first second would
be lost, and orphans of the translator would stay as zombies. See pid_namespaces(7). Imports nothing but the standard
library: it runs before anything else.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Collection

FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")


def step_aside() -> None:
    """Go on in a child process if this is process 1, which then ends as its child does; else do nothing."""
    if sys.platform == "linux" and os.getpid() == 1:
        run_in_child()


def run_in_child() -> None:
    """Return in a child process. This one forwards signals to it, and exits with its code, or 128 + its signal."""
    if sys.platform != "linux":  # sigwaitinfo
        return
    signals = {getattr(signal, name) for name in FORWARDED} | {signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_attend(child, signals))


def _attend(child: int, signals: Collection[int]) -> int:
    """Pass signals on to `child` until it ends; return its exit code."""
    assert sys.platform == "linux"
    while True:
        received = signal.sigwaitinfo(signals)
        if received.si_signo == signal.SIGCHLD:
            if (code := _reap(child)) is not None:
                return code
        elif (
            received.si_code <= 0
        ):  # by a process; the kernel's own, as Ctrl-C, has reached the child, too
            os.kill(child, received.si_signo)


def _reap(child: int) -> int | None:
    """Reap all processes that have ended; return the exit code of `child` if it is one of them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            exited = os.waitstatus_to_exitcode(status)
            code = exited if exited >= 0 else 128 - exited
