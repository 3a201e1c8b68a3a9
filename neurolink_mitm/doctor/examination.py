"""What the doctor says, and the texts of its support bundle, for the command line and the dashboard."""

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
from neurolink_mitm.core.status.diagnostic import Diagnostic
from neurolink_mitm.doctor.checks import HomeContents, ProbeContext, read_home, run_probes
from neurolink_mitm.doctor.diagnostics import diagnose
from neurolink_mitm.doctor.support_bundle import Censor, plain, tail

LINES = 200
"""Of each log, from its end."""
FAMILIES = (
    "proxy-2*.jsonl", "proxy-attempts-2*.jsonl",
    "guard.log", "service.log", "stalls.log", "translator.log",
)  # fmt: skip


def report(diagnostics: tuple[Diagnostic, ...]) -> dict[str, Any]:
    """Return the diagnostics as JSON values."""
    levels = [diagnostic.level for diagnostic in diagnostics]
    return {
        "ok": "fail" not in levels,
        "counts": {level: levels.count(level) for level in ("ok", "warn", "fail")},
        "findings": [
            {"id": each.id, "level": each.level, "text": each.text, "fix": each.fix or None}
            for each in diagnostics
        ],
    }


def examine(context: ProbeContext) -> dict[str, Any]:
    """Run all probes, and return the report."""
    return report(diagnose(run_probes(context)))


def contents(context: ProbeContext, status: Any, report: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of the bundle's files by name, with all secrets masked."""
    home_contents = read_home(context)
    censor = Censor(_secrets(context, home_contents), context.environ.get("HOME", ""))
    documents = {
        "doctor.json": report,
        "versions.json": _versions(),
        "status.json": status,
        "configuration.json": plain(home_contents.config),
    }
    files = {name: json.dumps(each, indent=2) + "\n" for name, each in documents.items() if each}
    for path in _logs(context):
        files[f"logs/{path.name}"] = "".join(f"{line}\n" for line in tail(path, LINES))
    return {name: censor(text) for name, text in files.items()}


def _secrets(context: ProbeContext, home_contents: HomeContents) -> Iterator[Secret]:
    """Yield all secrets that are known here: they are masked in any text, whatever they look like."""
    yield from secrets_of(home_contents.config, home_contents.accounts or (), home_contents.environ)
    state = StateFile(context.home.state).read() if context.home else None
    if state:
        yield Secret(state.admin_token)


def _logs(context: ProbeContext) -> Iterator[Path]:
    """Yield the newest log of each family."""
    if context.home is not None:
        for pattern in FAMILIES:
            yield from sorted(context.home.logs.glob(pattern))[-1:]


def _versions() -> dict[str, Any]:
    packages = {each.metadata["Name"]: each.version for each in distributions()}
    return {
        "neurolink": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }
