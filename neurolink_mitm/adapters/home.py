"""The state directory, `NEUROLINK_HOME` or `~/.neurolink`, and the paths in it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neurolink_mitm.adapters import home_root

OPEN_TO_OTHERS = 0o077
"""Mode bits of group and others."""
ANOTHER = "let NEUROLINK_HOME name a directory of yours"


@dataclass(frozen=True, slots=True)
class Home:
    """The directory that holds all state. Nothing is created before `create` is called."""

    root: Path

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> Home:
        """Raise `ValueError` if the environment does not say where home is, as under cron."""
        return cls(Path(home_root.find(env)))

    @property
    def tokens(self) -> Path:
        return self.root / "tokens.json"

    @property
    def keyring_changed(self) -> Path:
        """An empty file that is rewritten when tokens in the keyring change: a keyring can't be watched."""
        return self.root / ".keyring-changed"

    @property
    def legacy_credentials(self) -> Path:
        return self.root / "anthropic-credentials.json"

    @property
    def config(self) -> Path:
        return self.root / "proxy-config.yaml"

    @property
    def config_edit(self) -> Path:
        """The copy that `neurolink config edit` works on, and keeps if the edit is abandoned."""
        return self.root / "proxy-config.edit.yaml"

    @property
    def config_history(self) -> Path:
        """Earlier versions of configuration files, for undo."""
        return self.root / "config-history"

    @property
    def clients(self) -> Path:
        return self.root / "clients.json"

    @property
    def env(self) -> Path:
        return self.root / ".env"

    @property
    def state(self) -> Path:
        return self.root / home_root.STATE

    @property
    def proxies(self) -> Path:
        return self.root / home_root.PROXIES

    @property
    def quotas(self) -> Path:
        return self.root / home_root.QUOTAS

    @property
    def windows(self) -> Path:
        return self.root / "windows.jsonl"

    @property
    def cooldowns(self) -> Path:
        return self.root / home_root.COOLDOWNS

    @property
    def pauses(self) -> Path:
        return self.root / "pauses.json"

    @property
    def shaping_key(self) -> Path:
        """The key of placeholders."""
        return self.root / "shaping.key"

    @property
    def cluster_key(self) -> Path:
        """The key that the replicas of a cluster share."""
        return self.root / "cluster.key"

    @property
    def cluster_synced(self) -> Path:
        """What of this home is known to be in the cluster's Redis."""
        return self.root / "cluster-synced.json"

    @property
    def cluster_marks(self) -> Path:
        """The primary account and the order of use that replicas have agreed on."""
        return self.root / "cluster-marks.json"

    @property
    def claude_settings(self) -> Path:
        """The record of changes to Claude Code's settings."""
        return self.root / "claude-settings.json"

    @property
    def editor_settings(self) -> Path:
        """The record of changes to VS Code's settings."""
        return self.root / "editor-settings.json"

    @property
    def claude_choices(self) -> Path:
        """What `proxy setup` was asked to set beside the proxy's address."""
        return self.root / "claude-choices.json"

    @property
    def spend(self) -> Path:
        return self.root / "spend.json"

    @property
    def notices(self) -> Path:
        """Which notices were given."""
        return self.root / "notices.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def telemetry(self) -> Path:
        """Compose files and the password of `neurolink proxy telemetry`."""
        return self.root / "telemetry"

    @property
    def mitmproxy(self) -> Path:
        """mitmweb's folder."""
        return self.root / "mitmproxy"

    @property
    def authorities(self) -> Path:
        """Lists of certificate authorities for the data plane and the translator."""
        return self.root / "authorities"

    @property
    def aider_models(self) -> Path:
        """What Aider is told of the models: `neurolink proxy env --for aider`."""
        return self.root / "aider-models.json"

    def rewritten(self) -> tuple[Path, ...]:
        """The files that a proxy writes as it runs: one that is killed may leave a temporary file of each."""
        return (
            self.cooldowns,
            self.quotas,
            self.spend,
            self.windows,
            self.notices,
            self.claude_settings,
            self.state,
        )

    def owns(self, name: str) -> bool:
        """Return whether `name` is one of these paths, or its lock, a temporary, a broken or an earlier file of it."""
        properties = [name for name, each in vars(Home).items() if isinstance(each, property)]
        names = [getattr(self, each).name for each in properties]
        if name.startswith(("guard-", ".refresh-")) and name.endswith(".lock"):
            return True
        return any(
            name == each
            or name.startswith(
                (f"{each}.lock", f"{each}.corrupt-", f"{each}.original-", f".{each}.")
            )
            for each in names
        )

    def remove(self) -> tuple[str, ...]:
        """Delete our files, and the directory if it is empty then; return the names that are left. Raises `OSError`."""
        names = sorted(os.listdir(self.root))
        for path in (self.root / name for name in names if self.owns(name)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        left = tuple(name for name in names if not self.owns(name))
        if not left:
            self.root.rmdir()
        return left

    def create(self) -> tuple[str, ...]:
        """Create the directory, 0700; return warnings. Raises `OSError` with one clear line.

        An existing directory keeps its mode, with a warning if others can enter it.
        """
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError as e:
            raise OSError(f"{e.filename} is not a directory: {ANOTHER}") from e
        except OSError as e:
            raise OSError(f"can't create {self.root}: {e.strerror}; {ANOTHER}") from e
        mode = stat.S_IMODE(self.root.stat().st_mode)
        if mode & OPEN_TO_OTHERS:
            return (f"{self.root} is open to others (mode {mode:04o}): run chmod 700 {self.root}",)
        return ()
