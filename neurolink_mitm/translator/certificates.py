"""Verifies certificates like the proxy, whichever library connects."""

from __future__ import annotations

import ssl
from typing import Any


def verify_like_the_proxy() -> None:
    """Turn off Python 3.13's stricter checks (`VERIFY_X509_STRICT`): many companies' certificates fail them.

    Call this before LiteLLM is imported: its libraries make TLS contexts at import.
    """
    make = ssl.create_default_context

    def create(*args: Any, **options: Any) -> ssl.SSLContext:
        context = make(*args, **options)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    setattr(ssl, "create_default_context", create)  # noqa: B010 - a function is not assigned to, for mypy
