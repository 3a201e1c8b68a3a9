"""Run `docker compose` for the project of the local collector."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

PROJECT = "neurolink-telemetry"
PULLING = 1800.0
"""Seconds that a command may take, images pulled."""
_ANYTHING = dict.fromkeys(("OPENOBSERVE_USER", "OPENOBSERVE_PASSWORD", "OPENOBSERVE_AUTH"), "-")
NEEDED = (
    "this needs Docker with its compose plugin (https://docs.docker.com/compose/install/);"
    " any other OpenTelemetry collector does as well: name it in OTEL_EXPORTER_OTLP_ENDPOINT"
)


class ComposeError(Exception):
    """Docker or its plugin is missing, or a command failed. The message is one line."""


@dataclass(frozen=True, slots=True)
class Compose:
    """The Compose project of `file`; `variables` is the file of its variables (`--env-file`)."""

    file: Path
    variables: Path | None
    environ: Mapping[str, str] = field(repr=False)

    def check(self) -> None:
        """Check that Docker and its plugin work. Raises `ComposeError`."""
        try:
            done = subprocess.run(
                [_docker(), "compose", "version"],
                capture_output=True, timeout=30, check=False, env=dict(self.environ),
            )  # fmt: skip
        except subprocess.TimeoutExpired as e:
            raise ComposeError("docker does not answer") from e
        if done.returncode:
            raise ComposeError(f"`docker compose` is not there: {NEEDED}")

    def up(self) -> None:
        self._run("up", "--detach", "--remove-orphans")

    def down(self, *, volumes: bool = False) -> None:
        """Stop the project, with any values for its variables: their file may be damaged."""
        bare = replace(self, variables=None, environ={**self.environ, **_ANYTHING})
        bare._run("down", "--remove-orphans", *(["--volumes"] if volumes else []))

    def services(self) -> Mapping[str, str]:
        """Return the state (`running`, `exited`, …) of each service by its name."""
        output = self._run("ps", "--all", "--format", "json")
        return {str(row.get("Service")): str(row.get("State")) for row in _rows(output)}

    def logs(self, arguments: Sequence[str]) -> int:
        """Show logs on the terminal until the user ends it, and return the exit code."""
        return subprocess.run(
            self._command("logs", *arguments), env=dict(self.environ), check=False
        ).returncode

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                self._command(*arguments),
                capture_output=True, text=True, timeout=PULLING, check=False,
                env=dict(self.environ),
            )  # fmt: skip
        except subprocess.TimeoutExpired as e:
            raise ComposeError(f"`docker compose {arguments[0]}` does not end") from e
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ComposeError(f"`docker compose {arguments[0]}` failed: {lines[-1].strip()}")
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        project = ["--project-name", PROJECT, "--file", str(self.file)]
        project += ["--env-file", str(self.variables)] if self.variables else []
        return [
            _docker(), "compose", *project, *arguments
        ]  # fmt: skip


def _docker() -> str:
    docker = shutil.which("docker")
    if docker is None:
        raise ComposeError(f"docker is not there: {NEEDED}")
    return docker


def _rows(output: str) -> list[Mapping[str, object]]:
    """Parse a JSON list, or an object a line: that depends on the version of the plugin."""
    try:
        if output.lstrip().startswith("["):
            return list(json.loads(output))
        return [json.loads(line) for line in output.splitlines() if line.strip()]
    except (ValueError, RecursionError) as e:
        raise ComposeError("`docker compose ps` said what can't be read") from e
