"""The state directory: `NEUROLINK_HOME`, or `~/.neurolink`, and what lies in it."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

OPEN_TO_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Home:
    """The directory that holds all state. Nothing is created before `create` is called."""

    root: Path

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Home:
        """Raises `ValueError` when the environment does not say where home is, as under cron."""
        chosen, user = env.get("NEUROLINK_HOME"), env.get("HOME")
        if not chosen and not user:
            raise ValueError(
                "neither NEUROLINK_HOME nor HOME is set:"
                " set NEUROLINK_HOME to the directory that holds NeuroLink's state"
            )
        if not chosen:
            return cls(Path(f"{user}/.neurolink").absolute())
        # service managers and .env files hand on a `~` as it stands
        if user and (chosen == "~" or chosen.startswith("~/")):
            chosen = user + chosen[1:]
        return cls(Path(chosen).absolute())

    @property
    def tokens(self) -> Path:
        return self.root / "tokens.json"

    @property
    def keyring_changed(self) -> Path:
        """Written anew, and empty, whenever the tokens in the keyring change: a keyring can't be watched."""
        return self.root / ".keyring-changed"

    @property
    def legacy_credentials(self) -> Path:
        return self.root / "anthropic-credentials.json"

    @property
    def config(self) -> Path:
        return self.root / "proxy-config.yaml"

    @property
    def env(self) -> Path:
        return self.root / ".env"

    @property
    def state(self) -> Path:
        return self.root / "proxy-state.json"

    @property
    def quotas(self) -> Path:
        return self.root / "account-quotas.json"

    @property
    def cooldowns(self) -> Path:
        return self.root / "cooldowns.json"

    @property
    def claude_settings(self) -> Path:
        """What was in Claude Code's settings before."""
        return self.root / "claude-settings.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def create(self) -> tuple[str, ...]:
        """Make the directory, 0700. Returns warnings; raises `OSError` with one clear line.

        A directory that is there already keeps its mode, since it may be anyone's; one that
        others can enter draws a warning.
        """
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError as e:
            raise OSError(f"{e.filename} is not a directory") from e
        except OSError as e:
            raise OSError(f"can't create {self.root}: {e.strerror}") from e
        mode = stat.S_IMODE(self.root.stat().st_mode)
        if mode & OPEN_TO_OTHERS:
            return (f"{self.root} is open to others (mode {mode:04o}): run chmod 700 {self.root}",)
        return ()
