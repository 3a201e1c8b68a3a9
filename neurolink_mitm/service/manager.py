"""launchd and systemd's user manager: install, start, stop and remove the proxy's service."""

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
from neurolink_mitm.service.units import LABEL, UNIT, Service, plist, unit

LIMIT = 60.0
"""Seconds for a service manager's command; stopping waits for streams."""


class ServiceError(Exception):
    """One line with what to do instead."""


Run = Callable[[Sequence[str]], str]
"""Runs a program to its end and returns what it said; raises `ServiceError` where it fails."""


class ServiceManager(Protocol):
    """What a user's services are looked after by. `path` is where it finds ours."""

    path: Path

    def text(self, service: Service) -> str:
        """What will be installed."""

    def install(self, service: Service) -> None:
        """Write it, start it now and at each login. What was installed before is replaced."""

    def uninstall(self) -> bool:
        """Stop and remove it. Whether there was one."""


class Launchd:
    """macOS: an agent of the user's."""

    def __init__(self, home: Path, run: Run, uid: int) -> None:
        self.path = home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self._run = run
        self._domain = f"gui/{uid}"

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
        with suppress(ServiceError):  # it was not loaded, which is what we want
            self._run(["launchctl", "bootout", f"{self._domain}/{LABEL}"])


class Systemd:
    """Linux: a unit of the user's."""

    def __init__(self, config_home: Path, run: Run) -> None:
        self.path = config_home / "systemd" / "user" / UNIT
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
        except ServiceError:  # its user manager does not run, so neither does the service
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
        """Up to the user's own ~/.config: where nothing is left in them, they are as good as ours."""
        for directory in (self._wants, *self.path.parents[:3]):
            with suppress(OSError):
                directory.rmdir()

    def _systemctl(self, *arguments: str) -> None:
        self._run(["systemctl", "--user", *arguments])


def find(environ: Mapping[str, str], platform: str = sys.platform) -> ServiceManager:
    """That of this machine and user, whether it can be used or not. Raises `ServiceError` if there is none."""
    home = environ.get("HOME")
    if not home:
        raise ServiceError("HOME is not set, so there is no place for a service")
    if platform == "darwin":
        return Launchd(Path(home), run, os.getuid())
    if platform.startswith("linux"):
        return Systemd(Path(environ.get("XDG_CONFIG_HOME") or f"{home}/.config"), run)
    raise ServiceError("services are known for macOS (launchd) and Linux (systemd) only")


def check_usable(manager: ServiceManager) -> None:
    """Raises `ServiceError` where nobody would run the service, as in most containers."""
    if isinstance(manager, Launchd):
        return
    if not shutil.which("systemctl"):
        raise ServiceError("systemd is not installed here")
    try:
        run(["systemctl", "--user", "show-environment"])
    except ServiceError as e:
        raise ServiceError("no systemd user manager runs here, as in a container") from e


def run(command: Sequence[str]) -> str:
    """See `Run`."""
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
