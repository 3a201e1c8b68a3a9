"""What the proxy tells its translator, and how it asks it."""

from __future__ import annotations

import msgspec

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


def read_setup(line: bytes) -> Setup:
    """Raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(line, type=Setup)
