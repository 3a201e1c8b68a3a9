"""What `neurolink config check` and `show` print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from neurolink_mitm.cli.ui.render import Column, FittedTable, printed
from neurolink_mitm.config.show import DEFAULT, EffectiveValue, as_json, effective
from neurolink_mitm.config.sources import Inputs
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.settings.values import Config

Report = Mapping[str, Any]


def check_report(path: Path, inputs: Inputs | None, faults: Sequence[str]) -> Report:
    return {
        "path": str(path),
        "exists": path.exists(),
        "ok": not faults,
        "faults": list(faults),
        "warnings": list(inputs.warnings) if inputs else [],
        "strategy": inputs.strategy if inputs else None,
        "pool": [_account(account) for account in inputs.accounts] if inputs else [],
    }


def check_text(path: Path, inputs: Inputs) -> str:
    verdict = "is good" if path.exists() else "is not there: the defaults are in force"
    warnings = [f"warning: {line}" for line in inputs.warnings]
    count = len(inputs.accounts)
    pool = f"{count} account{'s' * (count != 1)}, {inputs.strategy}{':' * bool(count)}"
    listed = [f"  {n}. {_described(a)}" for n, a in enumerate(inputs.accounts, 1)]
    return "\n".join((f"{path} {verdict}", *warnings, pool, *listed, ""))


def _account(account: Account) -> Report:
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


_SOURCES = {
    "store": "stored login",
    "config": "configuration",
    "legacy": "anthropic-credentials.json",
    "environment": "ANTHROPIC_API_KEY",
}


def _described(account: Account) -> str:
    kind = "subscription" if account.type == "oauth" else "API key"
    notes = [kind, _SOURCES[account.source]]
    notes += [f"priority {account.priority}"] if account.priority else []
    notes += ["not enabled"] if not account.enabled else []
    notes += [f"disabled: {account.disabled}"] if account.disabled else []
    return f"{account.label} ({', '.join(notes)})"


def show_report(path: Path | None, config: Config, document: object) -> Report:
    rows = effective(config, document)
    return {
        "path": str(path) if path else None,
        "config": as_json(config),
        "origins": {row.path: row.origin for row in rows},
    }


def show_text(path: Path | None, config: Config, document: object) -> str:
    """A line a value where it is piped; on a terminal what is too long goes on below."""
    rows = list(effective(config, document))
    columns = (
        Column("", [Text(row.path) for row in rows]),
        Column("", [_value(row) for row in rows], least=24),
    )
    head = f"# {path or 'no configuration file: all of it is default'}"
    return f"{head}\n{printed(FittedTable(columns, titles=False))}"


def _value(row: EffectiveValue) -> Text:
    origin = "" if row.origin == DEFAULT else f"   # {row.origin}"
    return Text(row.value).append(origin, style="dim")
