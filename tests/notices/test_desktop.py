from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from neurolink_mitm.notices.desktop import (
    BUS,
    NONE,
    Desktop,
    arguments_for,
    desktop_program,
    with_session_bus,
)
from neurolink_mitm.notices.event import Event
from neurolink_mitm.notices.undelivered import Undelivered

HOSTILE = '-h <b>A & B</b> "q" \\n'
EVENT = Event(event="test", id="ntc_1", at="", message=HOSTILE)


@pytest.fixture
def bin_(tmp_path: Path) -> Path:
    """A folder of programs that write their arguments, a line each, and exit as told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def fake(folder: Path, name: str, code: int = 0) -> Path:
    path = folder / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{path}.args"\nexit {code}\n')
    path.chmod(stat.S_IRWXU)
    return path


def send(folder: Path, platform: str = "linux", **environ: str) -> str:
    environ = {"PATH": str(folder), "XDG_RUNTIME_DIR": str(folder), **environ}
    try:
        return asyncio.run(Desktop(environ, platform).send(EVENT))
    except Undelivered as e:
        return f"failed: {e}"


def test_notify_send_gets_texts_that_are_neither_options_nor_markup(bin_: Path) -> None:
    path = fake(bin_, "notify-send")
    assert send(bin_) == "notify-send"
    body = '-h &lt;b&gt;A &amp; B&lt;/b&gt; "q" \\\\n'
    assert Path(f"{path}.args").read_text().splitlines() == [
        "--app-name",
        "NeuroLink",
        "--",
        "NeuroLink",
        body,
    ]


def test_gdbus_is_used_where_there_is_a_session_bus(bin_: Path) -> None:
    path = fake(bin_, "gdbus")
    assert send(bin_) == f"failed: {NONE}"
    assert send(bin_, **{BUS: "unix:path=/x"}) == "gdbus"
    arguments = Path(f"{path}.args").read_text().splitlines()
    assert arguments[:3] == ["call", "--session", "--dest"]
    assert json.loads(arguments[-4]).startswith("-h &lt;b&gt;")
    assert not [each for each in arguments[9:] if each.startswith("-")]


def test_macos_gets_texts_as_arguments_of_a_fixed_script(bin_: Path) -> None:
    path = fake(bin_, "osascript")
    assert send(bin_, "darwin") == "osascript"
    lines = Path(f"{path}.args").read_text().splitlines()
    assert lines[-2:] == ["NeuroLink", HOSTILE]
    assert lines[:-2] == arguments_for("osascript", "another")[1:-2]


def test_one_that_fails_is_told(bin_: Path) -> None:
    fake(bin_, "notify-send", 1)
    assert send(bin_) == "failed: notify-send ended with exit code 1: is somebody logged in?"


def test_the_bus_of_the_user_is_found_by_its_socket(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert with_session_bus(environ) == environ
    (tmp_path / "bus").touch()
    assert with_session_bus(environ)[BUS] == f"unix:path={tmp_path}/bus"
    assert with_session_bus({**environ, BUS: "mine"})[BUS] == "mine"


def test_where_there_is_no_desktop(bin_: Path) -> None:
    assert desktop_program({"PATH": str(bin_), BUS: "x"}, "linux") is None
    assert desktop_program({"PATH": str(bin_)}, "darwin") is None
    fake(bin_, "notify-send")
    assert desktop_program({"PATH": str(bin_)}, "linux") == os.path.join(bin_, "notify-send")
