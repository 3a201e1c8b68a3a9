"""What the proxy tells its translator, and how it asks it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote

import msgspec

from neurolink_mitm.core.providers.catalog import key_of
from neurolink_mitm.core.settings.values import Provider

PROVIDER_HEADER = "x-neurolink-provider"
MODEL_HEADER = "x-neurolink-model"


class Access(msgspec.Struct, frozen=True, rename="camel"):
    """How a provider is reached. `api` is `chat` or `responses`, for those of OpenAI's kind."""

    api_key: str | None = None
    base_url: str | None = None
    api: str | None = None

    def __repr__(self) -> str:
        return f"Access(base_url={self.base_url!r})"


class Setup(msgspec.Struct, frozen=True):
    """A line on the translator's standard input. Whoever asks must show `secret`."""

    secret: str
    providers: dict[str, Access] = {}

    def __repr__(self) -> str:
        return f"Setup({', '.join(sorted(self.providers))})"


class Listening(msgspec.Struct, frozen=True):
    """The line on its standard output."""

    port: int


def setup_for(
    named: Collection[str],
    settings: Mapping[str, Provider],
    environ: Mapping[str, str],
    secret: str,
) -> Setup:
    """How these providers are reached, by the configuration and the environment."""
    return Setup(secret, {name: _access(name, settings, environ) for name in sorted(named)})


def _access(name: str, settings: Mapping[str, Provider], environ: Mapping[str, str]) -> Access:
    key, own = key_of(name, settings, environ), settings.get(name)
    return Access(
        key.reveal() if key else None, own.base_url if own else None, own.api if own else None
    )


def request_fields(
    secret: str, port: int, provider: str, model: str, length: int
) -> tuple[tuple[bytes, bytes], ...]:
    """All headers of a request to the translator: nothing that the caller sent is among them."""
    return (
        (b"host", b"127.0.0.1:%d" % port),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % length),
        (b"authorization", b"Bearer " + secret.encode()),
        (PROVIDER_HEADER.encode(), quote(provider).encode()),
        (MODEL_HEADER.encode(), quote(model).encode()),
    )


def read_setup(line: bytes) -> Setup:
    """Raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(line, type=Setup)
