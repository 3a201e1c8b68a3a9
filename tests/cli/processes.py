"""The command as a process of its own, as a user runs it: in a home and an environment made for it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

from neurolink_mitm.adapters.state_file import ProxyState, StateFile
from tests.cli.forked import MITMPROXY, TOOLS, Forked, server
from tests.cli.forked import NEUROLINK as COMMANDS
from tests.schemas import faults_below
from tests.waiting import LIMIT, wait_until

ROOT = Path(__file__).parents[2]
NEUROLINK = (sys.executable, "-m", "neurolink_mitm.cli")
BIN = Path(sys.executable).parent
SCRIPT = ROOT / "addons" / "neurolink.py"
WAYS = ("start", "inspect", "mitmdump", "mitmweb")
"""How the proxy can be run: `proxy start`, the same with `--inspect`, and as a script of mitmproxy's programs."""
MESSAGE: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 64,
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}


@dataclass
class Program:
    """A process that runs; what it says is collected in files, so that it never waits for us."""

    process: subprocess.Popen[bytes] | Forked
    stdout: Path
    stderr: Path

    @property
    def said(self) -> str:
        return self.stdout.read_text()

    @property
    def complained(self) -> str:
        return self.stderr.read_text()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until it says what the pattern matches, on whichever of its outputs."""

        def found() -> re.Match[str] | None:
            return re.search(pattern, self.said) or re.search(pattern, self.complained)

        wait_until(lambda: found() or not self.runs, f"{pattern!r} is said: {self}")
        match = found()
        assert match, f"it ended with {self.process.poll()} and never said {pattern!r}: {self}"
        return match

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def exit_code(self, limit: float = LIMIT) -> int:
        """Wait for its end."""
        wait_until(lambda: not self.runs, f"it ends: {self}", limit)
        return self.process.wait(limit)

    def kill(self) -> None:
        """It and what it has started: the guard of a proxy would put things back that nobody misses."""
        helpers: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            helpers = psutil.Process(self.pid).children(recursive=True)
        for helper in helpers:  # so that none of them gets a word in
            with suppress(psutil.NoSuchProcess):
                helper.suspend()
        self.kill_alone()
        for helper in helpers:
            with suppress(psutil.NoSuchProcess):
                helper.kill()

    def kill_alone(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT)

    def __str__(self) -> str:
        return f"stdout {self.said!r}, stderr {self.complained!r}"


@dataclass
class Shell:
    """A place to run commands in. What was started is killed at the end of `with`."""

    place: Path
    variables: dict[str, str] = field(default_factory=dict)
    started: list[Program] = field(default_factory=list)
    served: bool = False

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True)
        return self

    def __exit__(self, *exc: object) -> None:
        for program in self.started:
            program.kill()
        self._kill_in_background()
        for program in self.started:
            assert "Traceback" not in program.complained, program.complained
        if self.served:
            assert faults_below(self.home / ".neurolink" / "logs") == [], "rows are as published"

    def _kill_in_background(self) -> None:
        """The proxy that `setup` has left there."""
        state = StateFile(self.state).read()  # None for whatever else a test has written there
        if state is None or not state.alive:
            return
        with suppress(psutil.NoSuchProcess):
            proxy = psutil.Process(state.pid)
            for process in (*proxy.children(), proxy):
                process.kill()

    @property
    def home(self) -> Path:
        return self.place / "user"

    @property
    def state(self) -> Path:
        return self.home / ".neurolink" / "proxy-state.json"

    @property
    def admin_token(self) -> str:
        """Of the proxy that runs; empty if there is none."""
        state = StateFile(self.state).read()
        return state.admin_token if state else ""

    @property
    def claude_settings(self) -> Path:
        return self.home / ".claude" / "settings.json"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of the tester's but where programs are; the working directory is not the checkout."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}
        return {**own, "PYTHONPATH": str(ROOT), **self.variables}

    def start(self, *arguments: str, program: Sequence[str] = NEUROLINK) -> Program:
        number = len(self.started)
        out, err = (self.place / f"{number}.{name}" for name in ("out", "err"))
        process: subprocess.Popen[bytes] | Forked
        with out.open("wb") as stdout, err.open("wb") as stderr:
            if programs := self._forked(program):
                place = {"stdout": str(out), "stderr": str(err), "cwd": str(self.home)}
                process = server(programs).start(
                    [*arguments], program=program[0], environment=self.environment, **place
                )
            else:
                process = subprocess.Popen(
                    [*program, *arguments],
                    stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                    env=self.environment, cwd=self.home,
                )  # fmt: skip
        self.started.append(Program(process, out, err))
        return self.started[-1]

    def _forked(self, program: Sequence[str]) -> str | None:
        """Return the server that `program` is forked from; None where a variable says how Python itself starts."""
        theirs = {name: value for name, value in self.environment.items() if "PYTHON" in name}
        if sys.platform != "linux" or theirs.pop("PYTHONPATH", None) != str(ROOT):
            return None
        if program[0] in (str(BIN / tool) for tool in TOOLS):
            return MITMPROXY if theirs.keys() <= {"PYTHONUNBUFFERED"} else None
        return COMMANDS if program == NEUROLINK and not theirs else None

    def run(self, *arguments: str, program: Sequence[str] = NEUROLINK) -> Program:
        """To its end."""
        ended = self.start(*arguments, program=program)
        ended.exit_code()
        return ended

    def serve(self, *arguments: str, program: Sequence[str] = NEUROLINK) -> tuple[Program, str]:
        """A proxy on a free port, once it serves, and its URL."""
        self.served = True
        proxy = self.start("proxy", "start", "--port", "0", *arguments, program=program)
        return proxy, proxy.expect(r"export ANTHROPIC_BASE_URL=(\S+)\n")[1]

    def serve_by(self, way: str, script: Path = SCRIPT) -> tuple[Program, str]:
        """The same, run in one of `WAYS`."""
        if way in ("start", "inspect"):
            return self.serve(*(["--inspect"] if way == "inspect" else []))
        self.served = True
        page = ["--web-port", "0", "--set", "web_open_browser=false"] if way == "mitmweb" else []
        tool = str(BIN / way)
        proxy = self.start("-s", str(script), "-p", "0", *page, program=(tool,))
        file = StateFile(self.state)

        def listening() -> ProxyState | None:
            state = file.read()
            return state if state and state.pid == proxy.pid else None

        wait_until(lambda: listening() or not proxy.runs, f"it serves: {proxy}")
        state = listening()
        assert state, f"it ended: {proxy}"
        return proxy, state.url

    def write(self, name: str, content: str) -> Path:
        """A file in the state directory."""
        path = self.home / ".neurolink" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(content)
        return path


def pool_of(url: str, names: Iterable[str]) -> str:
    """A configuration: these accounts at this upstream, with their keys in KEY_name.

    All bodies are kept, so that a secret that is left in one is found (`tests.leaks`).
    """
    listed = "".join(f"    - {{name: {name}, apiKey: '${{KEY_{name}}}'}}\n" for name in names)
    captured = "logging: {capture-bodies: all}\n"
    return f"version: 1\ndefaultBaseUrl: {url}\n{captured}accounts:\n  anthropic:\n{listed}"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def refuses(port: int) -> bool:
    """Whether nobody listens there any more. Who comes at the moment when the port is closed is reset."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
    except (ConnectionRefusedError, ConnectionResetError) as e:
        return isinstance(e, ConnectionRefusedError)
    return False
