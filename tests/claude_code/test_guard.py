"""The guard in this process; tests/cli/proxy/test_claude_settings.py has it as one of its own."""

from __future__ import annotations

import http.server
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.claude_code import guard
from neurolink_mitm.claude_code.settings import ClaudeSettings

ORIGINAL = '{"env": {}}'


@pytest.fixture
def place(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.create()
    return place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "settings.json"
    path.write_text(ORIGINAL)
    return path


@pytest.fixture
def proxy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-Sc", code], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers 200 to /health, and 404 to all else."""

    takes = 0.0

    def do_GET(self) -> None:
        time.sleep(self.takes)
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def served() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def log_of(place: Home) -> str:
    return (place.logs / "guard.log").read_text()


def test_it_puts_back_what_a_dead_proxy_left(
    place: Home, path: Path, proxy: subprocess.Popen[bytes]
) -> None:
    ClaudeSettings(place.claude_settings).claim(path, proxy.pid, "http://127.0.0.1:9")
    proxy.kill()
    proxy.wait()
    guard.run(place, proxy.pid)
    assert path.read_text() == ORIGINAL
    assert log_of(place).count("\n") == 3
    assert stat.S_IMODE((place.logs / "guard.log").stat().st_mode) == 0o600


def test_it_leaves_to_another_proxy_the_address_it_serves(
    place: Home, path: Path, proxy: subprocess.Popen[bytes], served: str
) -> None:
    ClaudeSettings(place.claude_settings).claim(path, proxy.pid, served)
    changed = path.read_text()
    proxy.kill()
    proxy.wait()
    guard.run(place, proxy.pid)
    assert path.read_text() == changed
    assert "another proxy serves its address" in log_of(place)


def test_it_leaves_where_there_is_nothing_to_put_back(place: Home) -> None:
    guard.run(place, os.getpid())
    assert "put Claude Code's settings back itself" in log_of(place)
    assert [each.name for each in place.root.iterdir()] == ["logs"]


def test_told_to_end_in_the_moment_it_takes_its_lock_it_leaves_no_file(place: Home) -> None:
    code = """
import os, signal, sys
from neurolink_mitm.claude_code import guard

class Signalled(guard.FileLock):
    def _acquire(self):
        super()._acquire()
        os.kill(os.getpid(), signal.SIGTERM)

guard.FileLock = Signalled
guard.main(sys.argv[1], str(os.getpid()))
"""
    done = subprocess.run([sys.executable, "-c", code, place.root], timeout=20, check=False)
    assert done.returncode == 0
    assert list(place.root.iterdir()) == []


def test_a_log_that_can_not_be_written_does_not_keep_it(
    place: Home, path: Path, proxy: subprocess.Popen[bytes]
) -> None:
    place.logs.write_text("")
    ClaudeSettings(place.claude_settings).claim(path, proxy.pid, "http://127.0.0.1:9")
    proxy.kill()
    proxy.wait()
    guard.run(place, proxy.pid)
    assert path.read_text() == ORIGINAL


def test_a_proxy_that_answers_is_healthy(served: str) -> None:
    assert guard.healthy(served)


def test_one_that_is_slow_is_healthy_too(place: Home, served: str) -> None:
    """As one whose loop stands for a second now and then."""
    Healthy.takes = 1.2
    try:
        assert not guard.healthy(served)
        watch = guard.Watch(ClaudeSettings(place.claude_settings), os.getpid(), lambda text: None)
        assert watch._ask(served, 5.0)
    finally:
        Healthy.takes = 0.0


def test_one_that_does_not_is_not() -> None:
    assert not guard.healthy("http://127.0.0.1:9")


class Seconds:
    """The guard's time: a second passes where it sleeps, or `more` in the look that has just been taken."""

    def __init__(self) -> None:
        self.now, self.more = 1000.0, 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.more

    def time(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("looks", "detached"),
    [("-----", True), ("----a----", False), ("---s----", False)],
    ids=["in a row", "one answer between", "the guard itself stood still between"],
)
def test_only_misses_in_a_row_detach(
    place: Home, path: Path, monkeypatch: pytest.MonkeyPatch, looks: str, detached: bool
) -> None:
    """Each look: a miss (-), an answer (a), or a miss after which the machine sleeps (s)."""
    settings, told, seconds = ClaudeSettings(place.claude_settings), list[str](), Seconds()
    settings.claim(path, os.getpid(), "http://127.0.0.1:9")
    script = iter(looks)

    def answers(url: str, limit: float, state: object) -> bool:
        if (look := next(script, "")) == "":
            settings.release(os.getpid())
        seconds.more = 100.0 if look == "s" else 0.0
        return look == "a"

    monkeypatch.setattr(guard, "healthy", answers)
    monkeypatch.setattr(guard, "time", seconds)
    guard.Watch(settings, os.getpid(), told.append).run()
    assert (guard.AS_BEFORE in told) == detached


def test_it_imports_neither_mitmproxy_nor_pydantic() -> None:
    """It runs all the time."""
    code = """
import sys
import neurolink_mitm.claude_code.guard
print([m for m in ("mitmproxy", "pydantic", "rich", "click", "asyncio", "httpx") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_look_that_fails_is_taken_again(
    place: Home, path: Path, proxy: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    ClaudeSettings(place.claude_settings).claim(path, proxy.pid, "http://127.0.0.1:9")
    proxy.kill()
    proxy.wait()
    faults = [ValueError("unforeseen")]

    def failing(url: str, limit: float, state: object) -> bool:
        if faults:
            raise faults.pop()
        return False

    monkeypatch.setattr(guard, "healthy", failing)
    guard.run(place, proxy.pid)
    assert path.read_text() == ORIGINAL
    assert "ValueError: unforeseen" in log_of(place)
