"""Error codes of the mitmproxy that is installed."""

from __future__ import annotations

from typing import Any


def code(status: int) -> Any:
    """The one that stands for this status: in mitmproxy 11.0 the number itself."""
    try:
        from mitmproxy.proxy.layers.http._events import ErrorCode
    except ImportError:
        return status
    return next(c for c in ErrorCode if c.http_status_code() == status)
