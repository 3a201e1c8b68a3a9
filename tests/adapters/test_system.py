"""Memory goes back to the system, as the kernel counts it; in processes of their own, where nothing else allocates.

How an extra is installed.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from neurolink_mitm.adapters import system as heap
from neurolink_mitm.adapters.system import (
    PACKAGES,
    SystemClock,
    free_port,
    how_to_add,
    how_to_install,
    missing_for_cluster,
    port_owner,
)
from tests.fakes import NOW

LISTEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("words", "named"), [([], "python"), (["neurolink"], "another NeuroLink")], ids=["any", "ours"]
)
def test_who_listens_is_named(words: list[str], named: str) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", LISTEN, *words]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        found = port_owner(int(process.stdout.readline()))
        process.kill()
    assert found
    assert found.startswith(named)
    assert found.endswith(f"(pid {process.pid})")


def test_nobody_is_named_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    assert port_owner(port) is None


def test_who_is_only_connected_does_not_listen() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        assert port_owner(client.getsockname()[1]) is None
        assert str(os.getpid()) in (port_owner(server.getsockname()[1]) or "")


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port("127.0.0.1", taken) != taken
    assert free_port("127.0.0.1", taken) == taken


# the clock


class Clocks:
    """The wall's, which can be set, and one that nobody sets."""

    def __init__(self) -> None:
        self.wall, self.even = NOW, 5.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.even += seconds


@pytest.mark.parametrize(
    ("by", "told"),
    [(-86_400, [-86_400]), (-2, [-2]), (-0.5, []), (0, []), (86_400, [])],
    ids=["a-day-back", "two-seconds-back", "trimmed", "right", "forward-or-asleep"],
)
def test_a_clock_that_is_set_back_is_told_once(by: float, told: list[float]) -> None:
    clocks, heard = Clocks(), list[float]()
    clock = SystemClock(lambda: clocks.wall, lambda: clocks.even)
    clock.set_back.append(heard.append)
    clocks.pass_by(100)
    clock.now()
    clocks.pass_by(10)
    clocks.wall += by
    assert [clock.now(), clock.now()] == [NOW + 110 + by] * 2
    assert heard == pytest.approx(told)


def test_it_is_the_machines() -> None:
    assert abs(SystemClock().now() - time.time()) < 1


HOLES = """
import asyncio
import psutil
from neurolink_mitm.adapters import system as heap

def rss() -> int:
    return psutil.Process().memory_info().rss

async def main() -> None:
    pieces = [bytes(1000) for _ in range(60_000)]
    kept = pieces[::500]
    full = rss()
    pieces.clear()
    task = asyncio.create_task(heap.return_free_memory(every=0.01))
    for _ in range(1000):
        await asyncio.sleep(0.01)
        if full - rss() > 40_000_000:
            break
    task.cancel()
    print(full - rss() > 40_000_000, len(kept))

asyncio.run(main())
"""


@pytest.mark.skipif(heap._malloc_trim() is None, reason="the C library is not glibc")
def test_holes_between_what_stays_go_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOLES], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True 120\n"


async def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def __init__(self, name: str | None) -> None: ...

    monkeypatch.setattr(heap.ctypes, "CDLL", Other)
    await asyncio.wait_for(heap.return_free_memory(), 10)


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/me/.local/share/pipx/venvs/neurolink-mitm", "pipx inject neurolink-mitm keyring"),
        ("/home/me/.local/pipx/venvs/neurolink-mitm", "pipx inject neurolink-mitm keyring"),
        (
            "/home/me/.local/share/uv/tools/neurolink-mitm",
            "uv tool install --with keyring neurolink-mitm",
        ),
        (
            "/home/me/.cache/uv/archive-v0/x1",
            "uvx --with keyring --from neurolink-mitm neurolink proxy start",
        ),
        ("/home/me/project/.venv", "pip install 'neurolink-mitm[keyring]'"),
        (sys.prefix, f"{sys.executable} -m pip install 'neurolink-mitm[keyring]'"),
    ],
    ids=["pipx", "pipx-before-1.3", "uv-tool", "uvx", "environment", "this-one"],
)
def test_by_the_way_it_was_installed_itself(prefix: str, command: str) -> None:
    assert how_to_install("keyring", prefix) == command


def test_one_that_uv_made_has_no_pip(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.1\n")
    added = how_to_add(("google-auth",), "google-auth", str(tmp_path))
    assert added == f"uv pip install --python {tmp_path} google-auth"


def test_the_packages_are_those_of_the_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = {
        extra: tuple(re.split("[><=]", each)[0] for each in packages)
        for extra, packages in extras.items()
    }
    assert named == PACKAGES


def test_a_missing_package_of_the_cluster_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert missing_for_cluster() is None
    monkeypatch.setattr(heap, "CLUSTER_MODULES", ("redis", "no_such_module"))
    fault = missing_for_cluster()
    assert fault is not None
    assert fault.endswith(how_to_install("cluster"))
