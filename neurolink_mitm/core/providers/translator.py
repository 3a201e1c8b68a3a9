"""The protocol of proxy and translator: setup, listening port, and the headers of requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote

import msgspec

from neurolink_mitm.core.providers.catalog import base_url_of, key_of
from neurolink_mitm.core.settings.values import Provider

PROVIDER_HEADER = "x-neurolink-provider"
MODEL_HEADER = "x-neurolink-model"
NOTE_HEADER = "x-neurolink-note"
"""Of a response: what was left out of the request (`Adapted.notes`), percent-encoded, for the user."""


class Access(msgspec.Struct, frozen=True, rename="camel"):
    """Access to a provider. `api` is `chat` or `responses`, for OpenAI's and those like it."""

    api_key: str | None = None
    base_url: str | None = None
    api: str | None = None

    def __repr__(self) -> str:
        return f"Access(base_url={self.base_url!r})"


class Setup(msgspec.Struct, frozen=True):
    """A line on the translator's standard input. Requests must carry `secret` as a bearer token.

    `embeddings` are providers that are asked for embeddings alone, so that nothing is imported for them beforehand.
    """

    secret: str
    providers: dict[str, Access] = {}
    embeddings: dict[str, Access] = {}

    def __repr__(self) -> str:
        return f"Setup({', '.join(sorted({**self.providers, **self.embeddings}))})"

    def access(self, provider: str) -> Access:
        """Return the access to a provider; an empty one where the configuration does not name it."""
        return self.providers.get(provider) or self.embeddings.get(provider) or Access()


class Listening(msgspec.Struct, frozen=True):
    """The line on the translator's standard output, once it listens."""

    port: int


def setup_for(
    names: Collection[str],
    settings: Mapping[str, Provider],
    environ: Mapping[str, str],
    secret: str,
    embeddings: Collection[str] = (),
) -> Setup:
    """Return the setup for the providers `names`, by the configuration and the environment.

    Of those in `embeddings` too, whatever else there is of them is for embeddings alone.
    """
    chat, more = sorted(names), sorted(set(embeddings).difference(names))
    return Setup(
        secret,
        {name: _access(name, settings, environ) for name in chat},
        {name: _access(name, settings, environ) for name in more},
    )


def _access(name: str, settings: Mapping[str, Provider], environ: Mapping[str, str]) -> Access:
    key, own = key_of(name, settings, environ), settings.get(name)
    return Access(
        key.reveal() if key else None, base_url_of(name, settings), own.api if own else None
    )


def request_fields(
    secret: str, port: int, provider: str, model: str, length: int
) -> tuple[tuple[bytes, bytes], ...]:
    """Return all headers of a request to the translator; none of the caller's is among them."""
    return (
        (b"host", b"127.0.0.1:%d" % port),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % length),
        (b"authorization", b"Bearer " + secret.encode()),
        (PROVIDER_HEADER.encode(), quote(provider).encode()),
        (MODEL_HEADER.encode(), quote(model).encode()),
    )


def read_setup(line: bytes) -> Setup:
    """Parse a setup. Raises `msgspec.MsgspecError`."""
    return msgspec.json.decode(line, type=Setup)
