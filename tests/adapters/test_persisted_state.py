from __future__ import annotations

import json
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from neurolink_mitm.adapters.persisted_state import (
    FileStateStore,
    read_cooldowns,
    read_quotas,
    write_cooldowns,
)
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.core.pool.quota import Classic, Quota
from neurolink_mitm.core.pool.windows import MAX_WINDOWS, Window

SCOPES = {
    "*": Cooldown(2, 10.0, 40.0, "rate limit"),
    "count_tokens:*": Cooldown(0, 10.0, 310.0, "refused credential", whole=True),
}
COOLDOWNS = {"anthropic:a": PersistedState("0123456789ab", SCOPES)}
QUOTAS = {
    "anthropic:a": Quota(
        seen_at=5.0,
        windows={
            "5h": Window(0.5, "allowed", 99.0, seen_at=5.0),
            "7d_oi": Window(None, "rejected", 99.0, seen_at=4.0),
        },
        claim="five_hour",
        classic={"requests": Classic(10.0, 9.0, 60.0)},
    )
}


@pytest.fixture
def cooldowns(tmp_path: Path) -> Path:
    return tmp_path / "cooldowns.json"


@pytest.fixture
def quotas(tmp_path: Path) -> Path:
    return tmp_path / "account-quotas.json"


@pytest.fixture
def memory(cooldowns: Path, quotas: Path) -> Iterator[FileStateStore]:
    memory = FileStateStore(cooldowns, quotas, every=3600)
    yield memory
    memory.close()


def until(reached: Callable[[], bool]) -> None:
    """Looks again and again, for ten seconds at most."""
    pause = threading.Event()
    for _ in range(1000):
        if reached():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen within ten seconds")


def test_what_is_written_is_read(memory: FileStateStore, cooldowns: Path, quotas: Path) -> None:
    memory.cooldowns(COOLDOWNS)
    memory.quotas(QUOTAS)
    memory.close()
    assert read_cooldowns(cooldowns) == COOLDOWNS
    assert read_quotas(quotas) == QUOTAS


def test_quotas_of_before_windows_had_names_are_read(quotas: Path) -> None:
    old = {"seen_at": 5.0, "five_hour": {"utilization": 0.5, "reset": 99.0}, "seven_day": None}
    quotas.write_bytes(msgspec.json.encode({"version": 1, "accounts": {"anthropic:a": old}}))
    found = read_quotas(quotas)["anthropic:a"]
    assert found == Quota(5.0, {"5h": Window(0.5, "", 99.0)})
    assert found.windows["5h"].seen_at == 5.0


def test_what_an_older_one_wrote_is_read(cooldowns: Path) -> None:
    """It knew no endpoints."""
    kept = '{"level":2,"began":10.0,"until":40.0,"reason":"rate limit"}'
    cooldowns.write_text(
        '{"version":1,"accounts":{"anthropic:a":{"credential":"0","scopes":{"*":' + kept + "}}}}"
    )
    assert read_cooldowns(cooldowns)["anthropic:a"].scopes == {"*": SCOPES["*"]}


def test_cooldowns_are_written_at_once(memory: FileStateStore, cooldowns: Path) -> None:
    memory.cooldowns(COOLDOWNS)
    until(cooldowns.exists)
    assert read_cooldowns(cooldowns) == COOLDOWNS


def test_quotas_are_written_now_and_then(memory: FileStateStore, quotas: Path) -> None:
    """The first at once; what follows waits for its time, or for the end."""
    memory.quotas({})
    until(quotas.exists)
    memory.quotas(QUOTAS)
    memory.cooldowns(COOLDOWNS)  # written meanwhile: the thread is not asleep
    until(lambda: quotas.with_name("cooldowns.json").exists())
    assert read_quotas(quotas) == {}
    memory.close()
    assert read_quotas(quotas) == QUOTAS


def test_what_can_not_be_written_does_not_keep_what_comes_next(
    memory: FileStateStore, cooldowns: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No disk is at fault here: JSON has no lone surrogates."""
    memory.cooldowns({"\ud800": COOLDOWNS["anthropic:a"]})
    until(lambda: "can't be written" in caplog.text)
    memory.cooldowns(COOLDOWNS)
    memory.close()
    assert read_cooldowns(cooldowns) == COOLDOWNS


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_files_are_the_owners_only(memory: FileStateStore, cooldowns: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        memory.cooldowns(COOLDOWNS)
        memory.close()
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in cooldowns.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_no_file_is_no_memory(cooldowns: Path, quotas: Path) -> None:
    assert read_cooldowns(cooldowns) == {}
    assert read_quotas(quotas) == {}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"accounts": 3}'], ids=repr)
def test_broken_file_is_set_aside(
    cooldowns: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cooldowns.write_bytes(content)
    assert read_cooldowns(cooldowns) == {}
    [aside] = cooldowns.parent.glob("cooldowns.json.corrupt-*")
    assert aside.read_bytes() == content
    assert not cooldowns.exists()
    assert aside.name in caplog.text


def test_failing_disk_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "cooldowns.json"
    blocked.mkdir()  # nothing can be renamed onto it
    memory = FileStateStore(blocked, blocked.with_name("quotas.json"), every=0)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            memory.cooldowns(COOLDOWNS)
        memory.close()
    assert len(caplog.records) == 1
    assert "can't be written" in caplog.text


def test_commands_write_the_same(cooldowns: Path) -> None:
    write_cooldowns(cooldowns, COOLDOWNS)
    assert read_cooldowns(cooldowns) == COOLDOWNS
    assert json.loads(cooldowns.read_text())["version"] == 1


def test_windows_of_a_broken_file_are_as_headers_could_have_named_them(tmp_path: Path) -> None:
    path = tmp_path / "account-quotas.json"
    windows = {
        "5h": {"utilization": 1e308, "status": "\x1b[2J", "reset": -5},
        "7d": {"utilization": -1e308, "status": "allowed", "reset": 99},
        "\x1b[31m<b>": {"utilization": 0.5},
        **{f"w{number}": {"utilization": 0.9} for number in range(2000)},
    }
    accounts = {"anthropic:a": {"seen_at": 5.0, "windows": windows}}
    path.write_text(json.dumps({"accounts": accounts}))
    read = read_quotas(path)["anthropic:a"].windows
    assert (read["5h"], read["7d"]) == (Window(None), Window(None, "allowed", 99.0))
    assert len(read) == MAX_WINDOWS
    assert "\x1b[31m<b>" not in read
