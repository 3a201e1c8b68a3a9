"""Installs, starts, stops, removes and queries the proxy's service, by launchd or systemd's user manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from neurolink_mitm.adapters.files import write_atomic
from neurolink_mitm.core.status.probe_results import ServiceProbe
from neurolink_mitm.service.units import LABEL, UNIT, Service, plist, unit

LIMIT = 60.0
"""Seconds for a service manager's command; stopping waits for streams."""
QUERY_LIMIT = 5.0
"""Seconds to ask whether the service runs."""
NO_SUCH_SERVICE = 113
"""launchctl's exit code."""


class ServiceError(Exception):
    """The service manager can't do it; the text is one line with what to do instead."""


Run = Callable[[Sequence[str]], str]
"""Runs a program to its end and returns its output; raises `ServiceError` if it fails."""


class ServiceManager(Protocol):
    """Manages a user's services. `path` is the definition of ours; the command `query` asks for its state."""

    path: Path
    query: Sequence[str]

    def text(self, service: Service) -> str:
        """Return the definition of `service`."""

    def install(self, service: Service) -> None:
        """Write the definition in place of an earlier one, and start `service` now and at each login."""

    def uninstall(self) -> bool:
        """Stop and remove the service; return whether there was one."""


class Launchd:
    """macOS: a launch agent of the user."""

    def __init__(self, home: Path, run: Run, uid: int) -> None:
        self.path = home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self._run = run
        self._domain = f"gui/{uid}"
        self.query: Sequence[str] = ("launchctl", "print", f"{self._domain}/{LABEL}")

    def text(self, service: Service) -> str:
        return plist(service).decode()

    def install(self, service: Service) -> None:
        if self.path.exists():
            self._boot_out()
        _write(self.path, self.text(service))
        self._run(["launchctl", "bootstrap", self._domain, str(self.path)])

    def uninstall(self) -> bool:
        if not self.path.exists():
            return False
        self._boot_out()
        _remove(self.path)
        return True

    def _boot_out(self) -> None:
        with suppress(ServiceError):  # not loaded
            self._run(["launchctl", "bootout", f"{self._domain}/{LABEL}"])


class Systemd:
    """Linux: a unit of systemd's user manager."""

    def __init__(self, config_home: Path, run: Run) -> None:
        self.path = config_home / "systemd" / "user" / UNIT
        self.query: Sequence[str] = ("systemctl", "--user", "is-active", UNIT)
        self._run = run

    def text(self, service: Service) -> str:
        try:
            return unit(service)
        except ValueError as e:
            raise ServiceError(str(e)) from e

    def install(self, service: Service) -> None:
        _write(self.path, self.text(service))
        self._systemctl("daemon-reload")
        self._systemctl("enable", UNIT)
        self._systemctl("restart", UNIT)

    def uninstall(self) -> bool:
        if not self.path.exists():
            return False
        try:
            self._systemctl("disable", "--now", UNIT)
        except ServiceError:  # no user manager runs, so no service does
            _remove(self._wants / UNIT)
        _remove(self.path)
        with suppress(ServiceError):
            self._systemctl("daemon-reload")
        self._remove_empty_directories()
        return True

    @property
    def _wants(self) -> Path:
        return self.path.parent / "default.target.wants"

    def _remove_empty_directories(self) -> None:
        """Remove the directories up to `~/.config` that are empty now."""
        for directory in (self._wants, *self.path.parents[:3]):
            with suppress(OSError):
                directory.rmdir()

    def _systemctl(self, *arguments: str) -> None:
        self._run(["systemctl", "--user", *arguments])


def find(environ: Mapping[str, str], platform: str = sys.platform) -> ServiceManager:
    """Return the service manager of this platform, usable or not. Raises `ServiceError` if there is none."""
    home = environ.get("HOME")
    if not home:
        raise ServiceError("HOME is not set, so there is no place for a service")
    if platform == "darwin":
        return Launchd(Path(home), run, os.getuid())
    if platform.startswith("linux"):
        return Systemd(Path(environ.get("XDG_CONFIG_HOME") or f"{home}/.config"), run)
    raise ServiceError("services are known for macOS (launchd) and Linux (systemd) only")


def check_usable(manager: ServiceManager) -> None:
    """Raise `ServiceError` if no service manager runs, as in most containers."""
    if isinstance(manager, Launchd):
        return
    if not shutil.which("systemctl"):
        raise ServiceError("systemd is not installed here")
    try:
        run(["systemctl", "--user", "show-environment"])
    except ServiceError as e:
        raise ServiceError("no systemd user manager runs here, as in a container") from e


def run(command: Sequence[str]) -> str:
    """Run `command`, as `Run` says."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired as e:
        raise ServiceError(f"{' '.join(command)} did not end within {LIMIT:.0f} s") from e
    except OSError as e:
        raise ServiceError(f"{command[0]} can't be run: {e.strerror}") from e
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().replace("\n", "; ")
        raise ServiceError(f"{' '.join(command)} failed: {reason or done.returncode}")
    return done.stdout


def service_state(environ: Mapping[str, str], platform: str = sys.platform) -> ServiceProbe | None:
    """Return whether the service is installed and runs; None on platforms without services."""
    try:
        manager = find(environ, platform)
    except ServiceError:
        return None
    path = str(manager.path)
    if not manager.path.exists():
        return ServiceProbe(path)
    try:
        done = subprocess.run(
            manager.query, capture_output=True, text=True, timeout=QUERY_LIMIT, check=False,
            env=dict(environ),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ServiceProbe(path, True)
    return ServiceProbe(path, True, _runs(done.stdout.strip(), done.returncode))


def _runs(output: str, code: int) -> bool | None:
    """Read systemd's word, or the line of launchd's text. No output: nobody could be asked."""
    if not output:
        return False if code == NO_SUCH_SERVICE else None
    return output in ("active", "activating", "reloading") or "state = running" in output


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
    except OSError as e:
        raise ServiceError(f"{e.filename or path} can't be written: {e.strerror}") from e


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        raise ServiceError(f"{path} can't be removed: {e.strerror}") from e
