from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from neurolink_mitm.adapters.state_file import ProxyState, StateFile, process_start
from tests.waiting import wait_until


def a_state(**fields: Any) -> ProxyState:
    """This very process's, unless told otherwise."""
    own = {
        "pid": os.getpid(),
        "pid_started": process_start(os.getpid()),
        "port": 55669,
        "host": "127.0.0.1",
        "strategy": "fill-first",
        "start_time": 1_760_000_000.0,
    }
    return ProxyState(**{**own, **fields})


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "proxy-state.json")


def test_what_is_written_is_read(file: StateFile) -> None:
    file.write(a_state(guard_pid=7))
    assert file.read() == a_state(guard_pid=7)


def test_its_names_are_those_of_its_documentation(file: StateFile) -> None:
    file.write(a_state())
    written = json.loads(file.path.read_text())
    documented = "pid pidStarted port host strategy startTime fallbackChain guardPid"
    assert written.keys() >= set(documented.split())


def test_nobody_else_can_read_it(file: StateFile) -> None:
    file.write(a_state())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_it_shows_no_token_when_printed() -> None:
    assert "secret" not in repr(a_state(admin_token="secret"))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"pid": 1}', b'{"pid": "x", "port": 1}', b"\xff\xfe", b"\x00"],
    ids=["empty", "half", "list", "null", "too-little", "wrong-type", "no-text", "zero"],
)
def test_a_broken_one_is_none(file: StateFile, content: bytes) -> None:
    file.path.write_bytes(content)
    assert file.read() is None


def test_a_missing_one_is_none(file: StateFile) -> None:
    assert file.read() is None


def test_a_directory_in_its_place_is_none(file: StateFile) -> None:
    file.path.mkdir()
    assert file.read() is None


def test_fields_of_a_later_version_are_let_pass(file: StateFile) -> None:
    file.write(a_state())
    later = json.loads(file.path.read_text()) | {"somethingNew": 1}
    file.path.write_text(json.dumps(later))
    assert file.read() == a_state()


def test_this_process_is_alive() -> None:
    assert a_state().alive


def test_a_reused_pid_is_another_process() -> None:
    """The pid runs, but what runs now began at another time."""
    started = process_start(os.getpid())
    assert started
    assert not a_state(pid_started=started - 60).alive


def test_the_start_in_the_form_of_earlier_versions_is_known_again() -> None:
    own = psutil.Process(os.getpid()).create_time()
    assert a_state(pid_started=own).alive
    assert not a_state(pid_started=own - 60).alive


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel keeps the start itself")
def test_a_start_is_told_without_the_clock() -> None:
    """A clock that is set back moves the boot's time, from which psutil counts."""
    started = process_start(os.getpid())
    assert started
    assert abs(started - psutil.Process(os.getpid()).create_time()) > 60
    assert started == process_start(os.getpid())


def test_a_process_that_has_ended_is_not_alive() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert not a_state(pid=process.pid).alive


def test_a_zombie_is_not_alive() -> None:
    """It has ended, only nobody has asked yet how."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    started = process_start(process.pid)
    assert started
    state = a_state(pid=process.pid, pid_started=started)
    assert state.alive
    assert process.stdin
    process.stdin.close()  # and it ends
    wait_until(lambda: not state.alive, "a zombie is seen as ended")
    assert process.returncode is None
    process.wait()


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**31, 2**63 - 1])
def test_what_is_no_pid_is_not_alive(pid: int) -> None:
    assert not a_state(pid=pid).alive


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("localhost", "http://localhost:8080"),
        ("192.168.1.5", "http://192.168.1.5:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),  # noqa: S104 - a text to be turned into a URL
        ("", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("::", "http://[::1]:8080"),
        ("fd00::5", "http://[fd00::5]:8080"),
    ],
)
def test_where_to_ask_it(host: str, url: str) -> None:
    assert a_state(host=host, port=8080).url == url


def test_it_is_removed_by_its_owner(file: StateFile) -> None:
    file.write(a_state())
    file.remove(os.getpid())
    assert not file.path.exists()


@pytest.mark.parametrize("content", ["another's", "broken"])
def test_what_is_not_the_callers_stays(file: StateFile, content: str) -> None:
    file.write(a_state(pid=os.getpid() + 1))
    if content == "broken":
        file.path.write_text("{")
    before = file.path.read_bytes()
    file.remove(os.getpid())
    assert file.path.read_bytes() == before


def test_removing_what_is_not_there_is_no_error(file: StateFile) -> None:
    file.remove(os.getpid())


@pytest.fixture
def another() -> Iterator[ProxyState]:
    """Of another process that runs."""
    code = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-Sc", code], stdin=subprocess.PIPE) as process:
        yield a_state(pid=process.pid, pid_started=process_start(process.pid), port=8080)
        process.kill()


def test_of_two_the_first_is_spoken_of(file: StateFile, another: ProxyState) -> None:
    assert file.claim(another)
    assert not file.claim(a_state())
    assert file.read() == another
    assert file.running() == (another, a_state())


def test_the_next_takes_its_place(file: StateFile, another: ProxyState) -> None:
    file.claim(another)
    file.claim(a_state())
    file.remove(another.pid)
    assert json.loads(file.path.read_text())["pid"] == os.getpid()
    file.remove(os.getpid())
    assert not file.path.exists()
    assert not (file.path.parent / "proxies").exists()


def test_the_dead_are_not_among_them(file: StateFile, another: ProxyState) -> None:
    file.claim(another)
    dead = a_state(pid=another.pid, pid_started=1.0)
    (file.path.parent / "proxies" / "77.json").write_bytes(msgspec.json.encode(dead))
    assert [each.port for each in file.running()] == [8080]
    file.claim(a_state())
    assert not (file.path.parent / "proxies" / "77.json").exists()


def test_where_the_first_is_dead_the_second_is_read(file: StateFile, another: ProxyState) -> None:
    file.claim(another)
    file.write(a_state(pid=another.pid, pid_started=1.0))
    assert file.read() == another


def test_one_of_an_older_version_is_seen(file: StateFile, another: ProxyState) -> None:
    """Which writes no file of its own."""
    file.write(another)
    file.claim(a_state())
    assert [each.port for each in file.running()] == [8080, 55669]


def test_what_each_writes_is_its_owners(file: StateFile) -> None:
    file.claim(a_state(admin_token="secret"))
    place = file.path.parent / "proxies"
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert [stat.S_IMODE(each.stat().st_mode) for each in place.iterdir()] == [0o600]
