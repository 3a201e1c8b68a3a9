"""Checks the files of a home as a start would: what a proxy would be made from, or all that is wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from neurolink_mitm.adapters.client_file import ClientFileError
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.pause_file import PauseFileError
from neurolink_mitm.adapters.token_store import TokenStoreError, open_store
from neurolink_mitm.config.env_file import EnvFileError
from neurolink_mitm.config.sources import Inputs, SourceOptions, Sources
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.status.other_tools import other_tools


def check(
    environ: Mapping[str, str], home: Home, config: Path | None, env_file: Path | None
) -> tuple[Inputs | None, tuple[str, ...]]:
    """Return what the files of `home` say, or all that is wrong with them."""
    return checked(SourceOptions(environ, env_file, config), home)


def checked(options: SourceOptions, home: Home) -> tuple[Inputs | None, tuple[str, ...]]:
    """Return what a proxy with these options would be made from, or all that is wrong with it. Blocks."""
    try:
        return Sources(options, home, open_store(home, options.environ)).read(), ()
    except ConfigError as e:
        return None, e.faults
    except (ClientFileError, EnvFileError, PauseFileError, TokenStoreError) as e:
        return None, (str(e),)


def check_report(path: Path, inputs: Inputs | None, faults: Sequence[str]) -> dict[str, object]:
    """Return what `check` found in `path`, as JSON has it."""
    return {
        "path": str(path),
        "exists": path.exists(),
        "ok": not faults,
        "faults": list(faults),
        "warnings": list(inputs.warnings) if inputs else [],
        "strategy": inputs.strategy if inputs else None,
        "pool": [_account_report(account) for account in inputs.accounts] if inputs else [],
        "otherTools": who_serves_other_tools(inputs) if inputs else None,
    }


def who_serves_other_tools(inputs: Inputs) -> str:
    """Return who serves tools that speak OpenAI's API."""
    return other_tools(inputs.accounts, inputs.others, inputs.config.routing, time.time())


def _account_report(account: Account) -> dict[str, object]:
    return {
        "label": account.label,
        "type": account.type,
        "source": account.source,
        "priority": account.priority,
        "weight": account.weight,
        "enabled": account.enabled,
        "disabled": account.disabled,
        "baseUrl": account.base_url,
    }
