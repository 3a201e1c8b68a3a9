"""Programs as forks of one process that has imported them: nearly all of their CPU time is those imports.

There is a process for `neurolink`, and one for mitmproxy's own programs, which import all of mitmproxy. A child gets a
program's environment, directory and outputs, runs it as its script does, and ends as an interpreter ends. What is
asked of how a process starts (imports, other programs, Python's own variables) is started anew: see `Shell.start`.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MODULE = "neurolink_mitm.cli"
NEUROLINK, MITMPROXY = "neurolink", "mitmproxy"
"""The programs of a server; in the command line that children inherit, as a proxy on a port is known by it."""
TOOLS = ("mitmdump", "mitmweb")


class Forked:
    """A child, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, server: Server, pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(MODULE, timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(9)


class Server:
    """The process that has imported everything, one for each process that runs tests."""

    def __init__(self, programs: str) -> None:
        ours, theirs = socket.socketpair()
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "HOME": "/nowhere",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.cli.forked", str(theirs.fileno()), programs],
                env=environment, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )  # fmt: skip
        self._lock = threading.Lock()
        self._answers = ours.makefile("rb")
        self._channel = ours
        atexit.register(self._end)

    def start(self, arguments: list[str], **place: Any) -> Forked:
        """`place`: program, environment, cwd, stdout, stderr."""
        umask = os.umask(0)
        os.umask(umask)
        return Forked(self, self.ask(run=arguments, umask=umask, **place))

    def ask(self, **order: Any) -> Any:
        with self._lock:
            self._channel.sendall(json.dumps(order).encode() + b"\n")
            return json.loads(self._answers.readline())

    def _end(self) -> None:
        self._answers.close()
        self._channel.close()
        self._process.wait()


@cache
def server(programs: str) -> Server:
    return Server(programs)


def _import_mitmproxy() -> None:
    """Import what `mitmdump -s` and `mitmweb -s` import."""
    for name in ("mitmproxy.tools.main", "mitmproxy.tools.dump", "mitmproxy.tools.web.master"):
        import_module(name)
    import_module("neurolink_mitm.stack")
    import_module("neurolink_mitm.app.script")


def _import_commands() -> None:
    from neurolink_mitm.dataplane import default_addons

    default_addons.put_off()  # as the command does before it imports mitmproxy
    package = import_module(MODULE)
    for found in pkgutil.walk_packages(package.__path__, f"{MODULE}."):
        if not found.name.endswith("__main__"):
            import_module(found.name)
    import_module("neurolink_mitm.sandbox.server")


def _serve(channel: socket.socket) -> dict[str, Any]:
    """Return in each child, with what it is to run."""
    assert len(os.listdir("/proc/self/task")) == 1, "only a process with one thread can be forked"
    with channel, channel.makefile("rwb") as orders:
        while line := orders.readline():
            order: dict[str, Any] = json.loads(line)
            if "poll" in order:
                pid, status = os.waitpid(order["poll"], os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if pid else None
            elif (answer := os.fork()) == 0:
                return order
            orders.write(json.dumps(answer).encode() + b"\n")
            orders.flush()
    raise SystemExit


def _become(order: dict[str, Any]) -> None:
    os.umask(order["umask"])
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    for name, number in (("stdout", 1), ("stderr", 2)):
        file = os.open(order[name], os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.argv = [order["program"], *order["run"]]
    sys.path[0] = order["cwd"]
    if (tool := Path(order["program"]).name) in TOOLS:
        if os.environ.get("PYTHONUNBUFFERED"):
            sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        sys.exit(getattr(import_module("mitmproxy.tools.main"), tool)())
    runpy.run_module(MODULE, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _import_mitmproxy() if sys.argv[2] == MITMPROXY else _import_commands()
    gc.freeze()
    order = _serve(socket.socket(fileno=int(sys.argv[1])))
    _become(order)
