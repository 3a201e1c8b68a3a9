"""Certificates are judged as the proxy judges them, whichever library connects."""

from __future__ import annotations

import ssl
from typing import Any


def take_what_the_proxy_takes() -> None:
    """Leave out what Python 3.13 asks of certificates beyond OpenSSL: companies' authorities often lack it.

    To be called before LiteLLM is imported, whose libraries make contexts as they are imported.
    """
    make = ssl.create_default_context

    def create(*args: Any, **options: Any) -> ssl.SSLContext:
        context = make(*args, **options)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    setattr(ssl, "create_default_context", create)  # noqa: B010 - a function is not assigned to, for mypy
