"""Files of the local collector: the shipped Compose project, and the generated login of OpenObserve (`access.env`)."""

from __future__ import annotations

import base64
import io
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from neurolink_mitm.adapters.files import private_directory, write_atomic
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.telemetry.setup import OTLP_PORT

USER = "admin@neurolink.local"
"""OpenObserve's login is an e-mail address; nothing is sent to it."""
COMPOSE, COLLECTOR, ACCESS = "compose.yaml", "collector.yaml", "access.env"
UI_PORT = 5080


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
        access = Access(
            password=before.password if before else Secret(new_password()),
            ui_port=ui_port,
            otlp_port=otlp_port,
        )
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
    return Access(
        Secret(password),
        user,
        int(values["OPENOBSERVE_PORT"] or ""),
        int(values["OTLP_PORT"] or ""),
    )


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
