"""The local collector: its files (shipped Compose project, generated login of OpenObserve), and `docker compose`."""

from __future__ import annotations

import base64
import io
import json
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from neurolink_mitm.adapters.files import private_directory, write_atomic
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.telemetry.setup import OTLP_PORT

USER = "admin@neurolink.local"
"""OpenObserve's login is an e-mail address; nothing is sent to it."""
COMPOSE, COLLECTOR, ACCESS = "compose.yaml", "collector.yaml", "access.env"
UI_PORT = 5080
PROJECT = "neurolink-telemetry"
PULLING = 1800.0
"""Seconds that a command may take, with the download of images."""
_ANYTHING = dict.fromkeys(("OPENOBSERVE_USER", "OPENOBSERVE_PASSWORD", "OPENOBSERVE_AUTH"), "-")
NEEDED = (
    "this needs Docker with its compose plugin (https://docs.docker.com/compose/install/);"
    " any other OpenTelemetry collector does as well: name it in OTEL_EXPORTER_OTLP_ENDPOINT"
)


@dataclass(frozen=True, slots=True)
class Access:
    """The login of OpenObserve, and the ports on loopback of its pages and of the collector."""

    password: Secret
    user: str = USER
    ui_port: int = UI_PORT
    otlp_port: int = OTLP_PORT

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ui_port}"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.otlp_port}"


@dataclass(frozen=True, slots=True)
class TelemetryFiles:
    """The files in `folder`, copied from `shipped`."""

    folder: Path
    shipped: Path = field(default_factory=lambda: Path(str(files("neurolink_mitm.telemetry"))))

    @property
    def compose(self) -> Path:
        return self.folder / COMPOSE

    @property
    def access(self) -> Path:
        return self.folder / ACCESS

    def read(self) -> Access | None:
        """Return the login and ports, None before `setup`. Raises `OSError`, or `ValueError` for a damaged file."""
        from dotenv import dotenv_values

        try:
            text = self.access.read_text()
        except FileNotFoundError:
            return None
        values = dotenv_values(stream=io.StringIO(text), interpolate=False)
        try:
            return _access(values)
        except (KeyError, TypeError, ValueError) as e:
            raise ValueError(
                f"{self.access} is damaged: run `neurolink proxy telemetry stop --remove`, and set it up anew"
            ) from e

    def write(self, ui_port: int, otlp_port: int) -> Access:
        """Write the files of this version, and keep an existing password. Raises `OSError`, `ValueError`."""
        before = self.read()
        password = before.password if before else Secret(new_password())
        access = Access(password, ui_port=ui_port, otlp_port=otlp_port)
        private_directory(self.folder)
        for name in (COMPOSE, COLLECTOR):
            # readable for the container's user; the folder is private, and there is no secret in them
            write_atomic(self.folder / name, (self.shipped / name).read_bytes(), mode=0o644)
        write_atomic(self.access, _text(access).encode())
        return access


def new_password() -> str:
    """Return a random password with each class of characters that OpenObserve requires."""
    return f"{secrets.token_urlsafe(24)}-aA1"


def _access(values: Mapping[str, str | None]) -> Access:
    user, password = values["OPENOBSERVE_USER"], values["OPENOBSERVE_PASSWORD"]
    if not user or not password:
        raise ValueError("empty")
    ports = int(values["OPENOBSERVE_PORT"] or ""), int(values["OTLP_PORT"] or "")
    return Access(Secret(password), user, *ports)


def _text(access: Access) -> str:
    password = access.password.reveal()
    auth = base64.b64encode(f"{access.user}:{password}".encode()).decode()
    return (
        "# Made by `neurolink proxy telemetry setup`: the login of OpenObserve, and where it listens.\n"
        f"OPENOBSERVE_USER={access.user}\n"
        f"OPENOBSERVE_PASSWORD={password}\n"
        f"OPENOBSERVE_AUTH={auth}\n"
        f"OPENOBSERVE_PORT={access.ui_port}\n"
        f"OTLP_PORT={access.otlp_port}\n"
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
        return [_docker(), "compose", *project, *arguments]


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
