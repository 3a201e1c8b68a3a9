"""The folder of `neurolink proxy telemetry`: compose files as they are shipped, and the password that was made here."""

from __future__ import annotations

import base64
import io
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from neurolink_mitm.adapters.atomic import private_directory, write_atomic
from neurolink_mitm.core.secret import Secret
from neurolink_mitm.core.telemetry_setup import OTLP_PORT

USER = "admin@neurolink.local"
"""OpenObserve wants an address; nothing is sent there."""
COMPOSE, COLLECTOR, ACCESS = "compose.yaml", "collector.yaml", "access.env"
UI_PORT = 5080


@dataclass(frozen=True, slots=True)
class Access:
    """How OpenObserve and the collector are reached."""

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
    """Read and written here only."""

    folder: Path
    shipped: Path = field(
        default_factory=lambda: Path(str(files("neurolink_mitm"))) / "observability"
    )

    @property
    def compose(self) -> Path:
        return self.folder / COMPOSE

    @property
    def access(self) -> Path:
        return self.folder / ACCESS

    def read(self) -> Access | None:
        """None where nothing was set up. Raises `OSError`, and `ValueError` for a file that is damaged."""
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
        """The files as this version ships them; a password that is there stays. Raises `OSError`, `ValueError`."""
        before = self.read()
        access = Access(
            password=before.password if before else Secret(new_password()),
            ui_port=ui_port,
            otlp_port=otlp_port,
        )
        private_directory(self.folder)
        for name in (COMPOSE, COLLECTOR):
            # for the container's user, too; the folder is closed to others, and no secret is in them
            write_atomic(self.folder / name, (self.shipped / name).read_bytes(), mode=0o644)
        write_atomic(self.access, _text(access).encode())
        return access


def new_password() -> str:
    """With something of each kind that OpenObserve may ask for."""
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
