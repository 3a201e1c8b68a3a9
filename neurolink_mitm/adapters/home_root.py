"""The path of the state directory. The status line has no time to import `home`, with dataclasses and shutil."""

from __future__ import annotations

import os
from collections.abc import Mapping

STATE = "proxy-state.json"
PROXIES = "proxies"
"""A folder with a file like `STATE` for each running proxy."""
QUOTAS = "account-quotas.json"
COOLDOWNS = "cooldowns.json"


def find(env: Mapping[str, str]) -> str:
    """Return the state directory. Raises `ValueError` if the environment does not name it, as under cron."""
    chosen, user = env.get("NEUROLINK_HOME"), env.get("HOME")
    if not chosen and not user:
        raise ValueError(
            "neither NEUROLINK_HOME nor HOME is set:"
            " set NEUROLINK_HOME to the directory that holds NeuroLink's state"
        )
    if not chosen:
        chosen = f"{user}/.neurolink"
    # service managers and .env files hand on a `~` as it stands
    elif user and (chosen == "~" or chosen.startswith("~/")):
        chosen = user + chosen[1:]
    return os.path.join(os.getcwd(), chosen) if not os.path.isabs(chosen) else chosen
