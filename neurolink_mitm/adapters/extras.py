"""How an optional part is installed, by the way that NeuroLink itself was."""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGES = {
    "keyring": ("keyring",),
    "otel": ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"),
}
"""What pyproject.toml has under each extra."""


def how_to_install(extra: str, prefix: str = sys.prefix) -> str:
    """The command. pip knows nothing of the environments that pipx and uv make for a tool."""
    parts, packages = Path(prefix).parts, PACKAGES[extra]
    if "pipx" in parts:
        return f"pipx inject neurolink-mitm {' '.join(packages)}"
    if "uv" in parts and "tools" in parts:
        return f"uv tool install {' '.join(f'--with {each}' for each in packages)} neurolink-mitm"
    return f"pip install 'neurolink-mitm[{extra}]'"
