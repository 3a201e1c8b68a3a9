"""What is asked of launchd and systemd: by a recording runner, and by programs that stand in for theirs."""

from __future__ import annotations

import os
import plistlib
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from neurolink_mitm.service.manager import (
    Launchd,
    ServiceError,
    ServiceManager,
    Systemd,
    check_usable,
    find,
    run,
    service_state,
)
from neurolink_mitm.service.units import LABEL, UNIT, Service

SERVICE = Service(("/bin/neurolink",), ("--port", "1"))


@dataclass
class Runner:
    """Fails at commands in which one of these words is."""

    fails: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def __call__(self, command: Sequence[str]) -> str:
        self.asked.append(" ".join(command))
        if any(word in command for word in self.fails):
            raise ServiceError(f"{command[0]} failed")
        return ""


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def systemd(tmp_path: Path, runner: Runner) -> Systemd:
    return Systemd(tmp_path / "config", runner)


@pytest.fixture
def launchd(tmp_path: Path, runner: Runner) -> Launchd:
    return Launchd(tmp_path, runner, 501)


def test_systemd_is_told_to_read_enable_and_start_it(systemd: Systemd, runner: Runner) -> None:
    systemd.install(SERVICE)
    assert systemd.path.name == UNIT
    assert systemd.path.read_text() == systemd.text(SERVICE)
    assert runner.asked == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable {UNIT}",
        f"systemctl --user restart {UNIT}",
    ]


def test_systemd_is_told_to_stop_and_forget_it(systemd: Systemd, runner: Runner) -> None:
    systemd.install(SERVICE)
    runner.asked.clear()
    assert systemd.uninstall()
    assert not systemd.path.parents[2].exists()
    assert runner.asked == [
        f"systemctl --user disable --now {UNIT}",
        "systemctl --user daemon-reload",
    ]


def test_units_of_others_stay(systemd: Systemd) -> None:
    systemd.install(SERVICE)
    other = systemd.path.with_name("backup.service")
    other.touch()
    assert systemd.uninstall()
    assert list(systemd.path.parent.iterdir()) == [other]


def test_where_systemd_does_not_run_its_files_go_all_the_same(
    systemd: Systemd, runner: Runner
) -> None:
    systemd.install(SERVICE)
    wanted = systemd.path.parent / "default.target.wants" / UNIT
    wanted.parent.mkdir()
    wanted.symlink_to(systemd.path)
    runner.fails = ("--user",)
    assert systemd.uninstall()
    assert not systemd.path.parents[2].exists()


def test_launchd_is_told_to_load_it(launchd: Launchd, runner: Runner) -> None:
    launchd.install(SERVICE)
    assert plistlib.loads(launchd.path.read_bytes())["ProgramArguments"] == list(SERVICE.command)
    assert runner.asked == [f"launchctl bootstrap gui/501 {launchd.path}"]


def test_launchd_is_told_to_forget_what_was_there_first(launchd: Launchd, runner: Runner) -> None:
    launchd.install(SERVICE)
    runner.asked.clear()
    launchd.install(SERVICE)
    assert runner.asked == [
        f"launchctl bootout gui/501/{LABEL}",
        f"launchctl bootstrap gui/501 {launchd.path}",
    ]


def test_launchd_lets_go_of_what_it_had_not_loaded(launchd: Launchd, runner: Runner) -> None:
    launchd.install(SERVICE)
    runner.fails = ("bootout",)
    assert launchd.uninstall()
    assert not launchd.path.exists()


@pytest.mark.parametrize("kind", ["systemd", "launchd"])
def test_nothing_is_done_where_nothing_is_installed(
    kind: str, runner: Runner, request: pytest.FixtureRequest
) -> None:
    manager: ServiceManager = request.getfixturevalue(kind)
    assert not manager.uninstall()
    assert runner.asked == []


@pytest.mark.parametrize("kind", ["systemd", "launchd"])
def test_what_is_installed_is_its_owners(kind: str, request: pytest.FixtureRequest) -> None:
    """The address of a proxy on the way may have a password in it."""
    manager: ServiceManager = request.getfixturevalue(kind)
    manager.install(SERVICE)
    assert stat.S_IMODE(manager.path.stat().st_mode) == 0o600


def test_a_manager_that_refuses_is_told(systemd: Systemd, runner: Runner) -> None:
    runner.fails = ("restart",)
    with pytest.raises(ServiceError, match="systemctl failed"):
        systemd.install(SERVICE)


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path, runner: Runner) -> None:
    (tmp_path / "config").write_text("")
    with pytest.raises(ServiceError, match=str(tmp_path / "config")):
        Systemd(tmp_path / "config", runner).install(SERVICE)
    assert runner.asked == []


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/h"}, f"/h/.config/systemd/user/{UNIT}"),
        ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "/c"}, f"/c/systemd/user/{UNIT}"),
        ("darwin", {"HOME": "/h"}, f"/h/Library/LaunchAgents/{LABEL}.plist"),
    ],
)
def test_each_platform_has_its_place(platform: str, environ: dict[str, str], expected: str) -> None:
    assert str(find(environ, platform).path) == expected


@pytest.mark.parametrize(
    ("platform", "environ", "named"),
    [("win32", {"HOME": "/h"}, "Linux"), ("linux", {}, "HOME")],
    ids=["platform", "home"],
)
def test_where_there_is_no_place_it_is_said(
    platform: str, environ: dict[str, str], named: str
) -> None:
    with pytest.raises(ServiceError, match=named):
        find(environ, platform)


def test_a_machine_without_systemd_can_not_run_it(
    systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError, match="systemd is not installed"):
        check_usable(systemd)


def test_a_container_can_not_run_it(
    systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\necho Failed to connect to bus >&2\nexit 1\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ServiceError, match="container"):
        check_usable(systemd)


def test_what_a_program_complains_about_is_told() -> None:
    with pytest.raises(ServiceError, match="failed: one; two"):
        run([sys.executable, "-c", "import sys; sys.exit('one\\ntwo')"])


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ServiceError, match="no-such-program"):
        run(["no-such-program"])


def test_what_a_program_says_is_returned() -> None:
    assert run([sys.executable, "-c", "print('said')"]) == "said\n"


def installed(home: Path, platform: str) -> Path:
    places = {
        "linux": home / ".config" / "systemd" / "user" / UNIT,
        "darwin": home / "Library" / "LaunchAgents" / f"{LABEL}.plist",
    }
    path = places[platform]
    path.parent.mkdir(parents=True)
    path.write_text("")
    return path


def programs(home: Path, name: str, script: str) -> dict[str, str]:
    """An environment in which `name` is this script."""
    program = home / "bin" / name
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"HOME": str(home), "PATH": f"{program.parent}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("platform", "name", "script", "running"),
    [
        ("linux", "systemctl", "echo active", True),
        ("linux", "systemctl", "echo activating; exit 3", True),
        ("linux", "systemctl", "echo inactive; exit 3", False),
        ("linux", "systemctl", "echo failed; exit 3", False),
        ("linux", "systemctl", "echo 'Failed to connect to bus' >&2; exit 1", None),
        ("darwin", "launchctl", "echo '  state = running'", True),
        ("darwin", "launchctl", "echo '  state = spawn scheduled'", False),
        ("darwin", "launchctl", "echo 'Could not find service' >&2; exit 113", False),
    ],
    ids=["active", "activating", "inactive", "failed", "no-bus", "mac-runs", "mac-not", "mac-gone"],
)
def test_installed(home: Path, platform: str, name: str, script: str, running: bool | None) -> None:
    path = installed(home, platform)
    found = service_state(programs(home, name, script), platform)
    assert found
    assert (found.path, found.installed, found.running) == (str(path), True, running)


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_not_installed(home: Path, platform: str) -> None:
    found = service_state({"HOME": str(home)}, platform)
    assert found
    assert (found.installed, found.running) == (False, None)


def test_installed_where_nobody_can_be_asked(home: Path) -> None:
    installed(home, "linux")
    found = service_state({"HOME": str(home), "PATH": str(home)}, "linux")
    assert found
    assert (found.installed, found.running) == (True, None)


@pytest.mark.parametrize(("environ", "platform"), [({}, "linux"), ({"HOME": "/x"}, "win32")])
def test_no_services(environ: dict[str, str], platform: str) -> None:
    assert service_state(environ, platform) is None
