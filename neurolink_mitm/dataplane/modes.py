"""Which of mitmproxy's modes is the pool's, where the user runs other modes beside it."""

from __future__ import annotations

from collections.abc import Sequence

from mitmproxy.proxy.mode_specs import ProxyMode

MODE = "reverse:http://upstream.invalid:80"
"""A reverse proxy whose upstream is a placeholder: each attempt has its own."""


def pool_mode(modes: Sequence[str]) -> str | None:
    """Return the mode with our placeholder, else the first reverse proxy, else None."""
    reverse = [mode for mode in modes if mode.startswith("reverse:")]
    return next((mode for mode in reverse if mode.startswith(MODE)), next(iter(reverse), None))


def parsed_pool_mode(modes: Sequence[str]) -> ProxyMode:
    """Return the pool's mode parsed, with the address that it listens on."""
    return ProxyMode.parse(pool_mode(modes) or MODE)


def with_pool_mode(modes: Sequence[str], port: int) -> list[str]:
    """Return the user's modes with one for the pool: in place of mitmproxy's default, else on a `port` of its own."""
    if list(modes) == ["regular"]:
        return [MODE]
    return list(modes) if pool_mode(modes) else [f"{MODE}@{port}", *modes]
