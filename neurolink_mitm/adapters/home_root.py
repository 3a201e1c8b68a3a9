"""Where the state directory is, for those who must not take the time to import `home`."""

from __future__ import annotations

import os
from collections.abc import Mapping

STATE = "proxy-state.json"
PROXIES = "proxies"
"""A file like it for each proxy that runs."""
QUOTAS = "account-quotas.json"
COOLDOWNS = "cooldowns.json"


def find(env: Mapping[str, str]) -> str:
    """Raises `ValueError` when the environment does not say where home is, as under cron."""
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
