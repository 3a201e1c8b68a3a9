"""The login of an installed Claude Code, read and never changed. Without one Claude Code asks nothing, of nobody.

Claude Code comes to the proxy while that runs: its settings, and the guard that undoes them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import process_start
from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError, settings_path
from neurolink_mitm.core.auth.credentials import StoredAccount, check_token, ends_at, plan_of
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.redact.secret import Secret

LARGEST = 50_000_000
"""Bytes; `.claude.json` grows with use."""
VARIABLES = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")


class ImportFailed(Exception):
    """One line with what to do instead."""


class _Login(msgspec.Struct, rename="camel"):
    access_token: str
    refresh_token: str | None = None
    expires_at: float | str | None = None
    subscription_type: object = None


class _Credentials(msgspec.Struct, rename="camel"):
    claude_ai_oauth: _Login | None = None


class _Owner(msgspec.Struct, rename="camel"):
    account_uuid: str | None = None
    email_address: str | None = None
    organization_uuid: str | None = None
    organization_name: str | None = None


class _State(msgspec.Struct, rename="camel"):
    oauth_account: _Owner | None = None


def has_login(environ: Mapping[str, str]) -> bool:
    """As far as files and environment say. The keychain of macOS is not asked: the account's name is in a file."""
    path = settings_path(environ)
    if any(environ.get(name) for name in VARIABLES):
        return True
    if path is None:
        return False
    settings, login = _object(path), _object(path.with_name(".credentials.json"))
    in_folder = bool(environ.get("CLAUDE_CONFIG_DIR"))
    state = _object((path.parent if in_folder else path.parent.parent) / ".claude.json")
    env = settings.get("env")
    return bool(
        login.get("claudeAiOauth")
        or state.get("oauthAccount")
        or state.get("primaryApiKey")
        or settings.get("apiKeyHelper")
        or (isinstance(env, dict) and any(env.get(name) for name in VARIABLES))
    )


def read_login(environ: Mapping[str, str]) -> StoredAccount:
    """Return the login in `.credentials.json` of Claude Code's folder, with its owner. Raises `ImportFailed`."""
    path = _folder(environ) / ".credentials.json"
    try:
        login = msgspec.json.decode(_content(path), type=_Credentials).claude_ai_oauth
    except FileNotFoundError:
        raise ImportFailed(
            f"{path} is not there: log in with Claude Code first. On macOS it keeps its login in the"
            " keychain; there, use --method oauth or --method setup-token"
        ) from None
    except OSError as e:
        raise ImportFailed(f"can't read {path}: {e.strerror}") from None
    except UNREADABLE:
        raise ImportFailed(f"{path} is not what Claude Code writes; use --method oauth") from None
    if login is None:
        raise ImportFailed(f"{path} holds no login to a subscription; use --method oauth")
    try:
        return _with_owner(_account(login), environ)
    except ValueError as e:
        raise ImportFailed(f"a token in {path} {e}; use --method oauth") from None


def _with_owner(login: StoredAccount, environ: Mapping[str, str]) -> StoredAccount:
    """The login with the identity that Claude Code wrote down beside it, where it did."""
    try:
        state = msgspec.json.decode(_content(_state(environ)), type=_State)
    except (OSError, *UNREADABLE):
        return login
    whose = state.oauth_account or _Owner()
    return replace(
        login,
        label=whose.email_address or login.label,
        account_uuid=whose.account_uuid,
        organization_uuid=whose.organization_uuid,
        organization_name=whose.organization_name,
        email=whose.email_address,
    )


def _account(login: _Login) -> StoredAccount:
    refresh = login.refresh_token
    return StoredAccount(
        label="claude-code",
        access_token=Secret(check_token(login.access_token)),
        refresh_token=Secret(check_token(refresh)) if refresh else None,
        expires_at=ends_at(login.expires_at, "expiresAt"),
        plan=plan_of(login.subscription_type),
    )


def _folder(environ: Mapping[str, str]) -> Path:
    chosen = environ.get("CLAUDE_CONFIG_DIR")
    return Path(chosen) if chosen else Path(environ.get("HOME", "/")) / ".claude"


def _state(environ: Mapping[str, str]) -> Path:
    """Beside the folder, unless the folder was chosen: then in it."""
    chosen = environ.get("CLAUDE_CONFIG_DIR")
    return Path(chosen or environ.get("HOME", "/")) / ".claude.json"


def _object(path: Path) -> dict[str, Any]:
    """What is there; nothing where it can't be read."""
    try:
        found = json.loads(_content(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)


logger = logging.getLogger("neurolink.claude")

LOOK = 5.0
"""Seconds between two looks after the guard."""
END_LIMIT = 2.0
"""Seconds for the guard to end once it is told to."""
HAND_ON = ("HOME", "LANG", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Of the environment: the guard needs no keys."""


class ClaudeCode:
    """Attached from when the proxy serves until it stops. Nothing that goes wrong here stops the proxy."""

    def __init__(self, home: Home, settings: Path) -> None:
        self.path = settings
        self.attached = False
        self._home = home
        self._settings = ClaudeSettings(home.claude_settings)
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def guard_pid(self) -> int | None:
        return self._guard.pid if self._guard else None

    def attach(self, pid: int, url: str) -> None:
        """Start the guard, and point Claude Code at `url`. Blocks.

        In this order: killed at any moment, the proxy leaves somebody who puts the settings back.
        """
        self._watch(pid)
        try:
            self._settings.claim(self.path, pid, url)
        except SettingsError as e:
            logger.warning(
                "%s; Claude Code will not come here by itself: mend that and start again,"
                ' or set it in your shell: eval "$(neurolink proxy env)"',
                e,
            )
            self._dismiss()
            return
        self.attached = True

    async def keep_guarded(self, pid: int, changed: Callable[[], object]) -> None:
        """Until it is cancelled: a guard that has ended is followed by another, and `changed` is called."""
        while True:
            await asyncio.sleep(LOOK)
            gone = self._guard is None or self._guard.poll() is not None
            if self.attached and gone and await asyncio.to_thread(self._guard_again, pid):
                changed()

    def _guard_again(self, pid: int) -> bool:
        try:
            if self._settings.entry(pid) is None:  # there is nothing to be undone
                return False
        except SettingsError:
            return False
        return self._watch(pid)

    def _watch(self, pid: int) -> bool:
        try:
            self._guard = _spawn(self._home, pid)
        except OSError as e:
            logger.warning("no guard watches over Claude Code's settings: %s", e)
            return False
        return True

    def detach(self, pid: int) -> None:
        """Put the settings back, and let the guard go. Blocks."""
        if not self.attached:
            return
        self.attached = False
        try:
            self._settings.release(pid)
        except SettingsError as e:
            logger.error(
                "%s; the next start tries again, or take env.ANTHROPIC_BASE_URL out of it", e
            )
        self._dismiss()

    def _dismiss(self) -> None:
        guard, self._guard = self._guard, None
        if guard is None:
            return
        guard.terminate()
        try:
            guard.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()


def _spawn(home: Home, pid: int) -> subprocess.Popen[bytes]:
    """In a session of its own: neither Ctrl-C nor a closed terminal is meant for it."""
    found = [os.path.abspath(each) for each in sys.path if each]
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(
        [
            sys.executable, "-P", "-m", "neurolink_mitm.claude_code.guard",
            str(home.root), str(pid), str(process_start(pid) or 0.0),
        ],
        env={name: os.environ[name] for name in HAND_ON if name in os.environ}
        | {"PYTHONPATH": os.pathsep.join(found)},
        cwd="/", start_new_session=True, stdin=nowhere, stdout=nowhere, stderr=nowhere,
    )  # fmt: skip
