"""What `neurolink proxy doctor --bundle` packs."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from neurolink_mitm import __version__
from neurolink_mitm.adapters.state_file import StateFile
from neurolink_mitm.core.redact.known_secrets import secrets_of
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.doctor.checks import Known, Looking, read_home
from neurolink_mitm.doctor.support_bundle import Censor, plain, tail

LINES = 200
FAMILIES = (
    "proxy-2*.jsonl", "proxy-attempts-2*.jsonl",
    "guard.log", "service.log", "stalls.log", "translator.log",
)  # fmt: skip


def contents(look: Looking, status: Any, report: Mapping[str, Any]) -> dict[str, str]:
    """The files by their names, with all secrets starred."""
    known = read_home(look)
    censor = Censor(_secrets(look, known), look.environ.get("HOME", ""))
    documents = {
        "doctor.json": report,
        "versions.json": _versions(),
        "status.json": status,
        "configuration.json": plain(known.config),
    }
    files = {name: json.dumps(each, indent=2) + "\n" for name, each in documents.items() if each}
    for path in _logs(look):
        files[f"logs/{path.name}"] = "".join(f"{line}\n" for line in tail(path, LINES))
    return {name: censor(text) for name, text in files.items()}


def _secrets(look: Looking, known: Known) -> Iterator[Secret]:
    """All that are known here: text that holds one of them is starred there, whatever it looks like."""
    yield from secrets_of(known.config, known.accounts or (), known.environ)
    state = StateFile(look.home.state).read() if look.home else None
    if state:
        yield Secret(state.admin_token)


def _logs(look: Looking) -> Iterator[Path]:
    """The newest of each family."""
    if look.home is not None:
        for pattern in FAMILIES:
            yield from sorted(look.home.logs.glob(pattern))[-1:]


def _versions() -> dict[str, Any]:
    packages = {each.metadata["Name"]: each.version for each in distributions()}
    return {
        "neurolink": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }
