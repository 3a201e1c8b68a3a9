"""Thousands of httpx's clients in one process."""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any

import httpx
from httpx._transports import default

_make = httpx.create_ssl_context


def share_certificates() -> None:
    """Clients that trust what httpx trusts share that: to read it takes 40 ms, and each client would."""
    default.create_ssl_context = _context


def _context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is not True or cert is not None:
        return _make(verify=verify, cert=cert, trust_env=trust_env)
    return _trusted(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.cache
def _trusted(trust_env: bool, file: str | None, directory: str | None) -> ssl.SSLContext:
    return _make(trust_env=trust_env)
