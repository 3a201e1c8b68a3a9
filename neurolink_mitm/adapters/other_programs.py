"""Whether a program that refreshes the same logins runs on this machine: a refresh token can be used once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from neurolink_mitm.adapters.system import listening_process, port_owner

SCRIPTED = frozenset({"node", "nodejs", "bun", "bunx", "deno", "npm", "npx", "tsx"})
"""Programs that run a script of JavaScript or TypeScript."""
INTERPRETERS = SCRIPTED | {"sh", "bash", "dash", "zsh", "python", "python3"}
_INLINE = frozenset({"-c", "-e", "-p", "-m", "--eval", "--print"})
"""Options of interpreters that bring the program themselves: there is no script then."""
_RUN = frozenset({"run", "exec", "x"})
"""Words of package managers before the name of what they run."""
_SAME = 2.0
"""Seconds by which a process may seem younger than the file that it wrote its pid to."""
_LARGEST = 100_000


@dataclass(frozen=True, slots=True)
class Program:
    """How a program is recognised. Names of commands are in lower case."""

    name: str
    commands: frozenset[str] = frozenset()
    packages: tuple[str, ...] = ()
    """Parts of its script's path."""
    interpreters: frozenset[str] = INTERPRETERS
    pid_files: tuple[Path, ...] = ()
    """Files with its pid: a number, or a JSON object with the member `pid`."""
    port: int | None = None
    """A port that hardly another program listens on."""


def original(root: Path) -> Program:
    """Return the original NeuroLink, whose state is in `root`: juspay/neurolink `src/cli/commands/proxy.ts`."""
    return Program(
        name="the original NeuroLink",
        commands=frozenset({"neurolink"}),
        packages=("@juspay/neurolink",),
        interpreters=SCRIPTED,  # a Python of this name is ours
        pid_files=tuple(root / f"{name}-state.json" for name in ("proxy", "serve", "task-worker")),
    )


def running(program: Program) -> str | None:
    """Return how it was noticed that `program` runs; None if it does not, as far as this user may see."""
    for path in program.pid_files:
        if (process := _of_pid_file(path)) is not None:
            return f"{_described(process)}, by {path}"
    for process in _own_processes():
        if _is_of(program, process):
            return _described(process)
    if program.port is not None and listening_process(program.port) is not None:
        return f"{port_owner(program.port) or 'a program'} listens on its port {program.port}"
    return None


def _of_pid_file(path: Path) -> psutil.Process | None:
    """Return the process whose pid is in `path`; None if it has ended, or the file is of a proxy of ours."""
    with suppress(OSError, ValueError, RecursionError, psutil.Error, OverflowError):
        with path.open("rb") as file:
            content = json.loads(file.read(_LARGEST)) if path.is_file() else None
        if isinstance(content, dict):
            content = None if "pidStarted" in content else content.get("pid")
        if not isinstance(content, int) or isinstance(content, bool) or content <= 0:
            return None
        process = psutil.Process(content)
        # a pid that has been reused belongs to a process that is younger than the file
        younger = process.create_time() > path.stat().st_mtime + _SAME
        return None if younger or process.status() == psutil.STATUS_ZOMBIE else process
    return None


def _own_processes() -> Iterator[psutil.Process]:
    """Yield the processes of this user, without this one."""
    user = os.getuid()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.uids().real == user:
                yield process


def _is_of(program: Program, process: psutil.Process) -> bool:
    with suppress(psutil.Error, OSError):
        words = process.cmdline()
        if not words or process.status() == psutil.STATUS_ZOMBIE:
            return False
        if _name(words[0]) in program.interpreters:
            script = _script(words[1:])
            return script is not None and _names(program, script)
        # where only a script counts, a program of that name may be ours
        return program.interpreters != SCRIPTED and _names(program, words[0])
    return False


def _script(words: Sequence[str]) -> str | None:
    """Return the script, or the package, that an interpreter runs; None if it runs none."""
    for word in words:
        if word in _INLINE:
            return None
        if not word.startswith("-") and word not in _RUN:
            return word
    return None


def _names(program: Program, word: str) -> bool:
    parts = Path(word).parts
    packages = (tuple(each.split("/")) for each in program.packages)
    return _name(word) in program.commands or any(_contains(parts, each) for each in packages)


def _contains(parts: tuple[str, ...], package: tuple[str, ...]) -> bool:
    width = len(package)
    return any(parts[at : at + width] == package for at in range(len(parts) - width + 1))


def _name(word: str) -> str:
    name = Path(word).name.lower()
    return name.removesuffix(".exe").removesuffix(".js")


def _described(process: psutil.Process) -> str:
    """Return pid, program and script, without arguments: they may hold keys."""
    words: list[str] = []
    with suppress(psutil.Error, IndexError):
        first, *others = process.cmdline()[:20]
        script = _script(others) if _name(first) in INTERPRETERS else None
        words = [Path(word).name for word in (first, script) if word]
    text = "".join(char for char in " ".join(words) if char.isprintable())[:60]
    return f"process {process.pid}{f' ({text})' if text else ''}"
