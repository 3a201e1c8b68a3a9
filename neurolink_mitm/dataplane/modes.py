"""Which of mitmproxy's modes is the pool's, where a user runs others beside it.

mitmdump -s addons/neurolink.py --mode reverse:http://upstream.invalid:80 --mode regular@8080
"""

from __future__ import annotations

from collections.abc import Sequence

from mitmproxy.proxy.mode_specs import ProxyMode

MODE = "reverse:http://upstream.invalid:80"
"""A reverse proxy whose upstream is never used: each attempt says itself where it goes."""


def pool_mode(modes: Sequence[str]) -> str | None:
    """That with our placeholder, else the first reverse proxy; None where there is neither."""
    reverse = [mode for mode in modes if mode.startswith("reverse:")]
    return next((mode for mode in reverse if mode.startswith(MODE)), next(iter(reverse), None))


def parsed_pool_mode(modes: Sequence[str]) -> ProxyMode:
    """That as mitmproxy understands it, with the address that it listens on."""
    return ProxyMode.parse(pool_mode(modes) or MODE)


def with_pool_mode(modes: Sequence[str], port: int) -> list[str]:
    """The user's modes, and one for the pool if none of them is.

    mitmproxy's default is ours then. Beside others the pool has a `port` of its own.
    """
    if list(modes) == ["regular"]:
        return [MODE]
    return list(modes) if pool_mode(modes) else [f"{MODE}@{port}", *modes]
