"""Asked of real programs that stand in for the system's."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurolink_mitm.service.state import service_state
from neurolink_mitm.service.units import LABEL, UNIT


def installed(home: Path, platform: str) -> Path:
    places = {
        "linux": home / ".config" / "systemd" / "user" / UNIT,
        "darwin": home / "Library" / "LaunchAgents" / f"{LABEL}.plist",
    }
    path = places[platform]
    path.parent.mkdir(parents=True)
    path.write_text("")
    return path


def manager(home: Path, name: str, script: str) -> dict[str, str]:
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
    found = service_state(manager(home, name, script), platform)
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
