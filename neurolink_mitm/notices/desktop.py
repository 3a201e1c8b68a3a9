"""The desktop: `notify-send` or `gdbus` where there is a session bus, `osascript` on macOS.

Texts are arguments of a fixed script or call, never a part of it.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neurolink_mitm.notices.command import LIMIT, run
from neurolink_mitm.notices.event import Event
from neurolink_mitm.notices.undelivered import Undelivered

TITLE = "NeuroLink"
BUS, RUNTIME = "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"
NONE = "there is no desktop here: neither notify-send nor a session bus with gdbus"
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)

Which = Callable[[str], str | None]


@dataclass(frozen=True)
class Desktop:
    """The channel of `notify.desktop`."""

    environ: Mapping[str, str] = field(repr=False)
    platform: str = sys.platform
    limit: float = LIMIT
    name: str = "desktop"

    async def send(self, event: Event) -> str:
        """Return what showed it. Raises `Undelivered`, also where there is no desktop."""
        environ = with_session_bus(self.environ)
        program = desktop_program(environ, self.platform)
        if program is None:
            raise Undelivered(NONE)
        code = await run(arguments_for(program, event.message), environ, b"", self.limit)
        name = os.path.basename(program)
        if code:
            raise Undelivered(f"{name} ended with exit code {code}: is somebody logged in?")
        return name


def desktop_program(environ: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Return the path of the program that shows notices on this desktop; None if there is no desktop."""
    path = environ.get("PATH")
    if platform == "darwin":
        return shutil.which("osascript", path=path)
    if program := shutil.which("notify-send", path=path):
        return program
    return shutil.which("gdbus", path=path) if BUS in environ else None


def has_desktop(environ: Mapping[str, str]) -> bool:
    """Return whether this machine has a desktop that shows notices."""
    return desktop_program(with_session_bus(environ)) is not None


def with_session_bus(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with the address of the user's session bus, which services may not have."""
    runtime = environ.get(RUNTIME) or f"/run/user/{os.getuid() if hasattr(os, 'getuid') else 0}"
    bus = Path(runtime, "bus")
    if BUS in environ or not bus.exists():
        return dict(environ)
    return {**environ, RUNTIME: runtime, BUS: f"unix:path={bus}"}


def arguments_for(program: str, text: str) -> list[str]:
    """Return the program with its arguments; the body is markup to the first two, and `text` is none."""
    name, body = os.path.basename(program), html.escape(text, quote=False)
    if name == "notify-send":  # which reads backslashes in the body as escapes (g_strcompress)
        return [program, "--app-name", TITLE, "--", TITLE, body.replace("\\", "\\\\")]
    if name == "gdbus":  # whose arguments are GVariants in text form
        call = "org.freedesktop.Notifications"
        at = ("--dest", call, "--object-path", "/org/freedesktop/Notifications")
        texts = (json.dumps(TITLE), "0", '""', json.dumps(TITLE), json.dumps(body))
        return [
            program,
            "call",
            "--session",
            *at,
            "--method",
            f"{call}.Notify",
            *texts,
            "[]",
            "{}",
            "10000",
        ]
    lines = (part for line in _SCRIPT for part in ("-e", line))
    return [program, *lines, TITLE, text]
