"""Puts off the import of mitmproxy's default addons: a lean master has three of more than thirty."""

from __future__ import annotations

import importlib.util
import sys

PACKAGE = "mitmproxy.addons"
ALL = "default_addons"
"""The package's function that makes one of each."""


def put_off() -> None:
    """Let the import of one module of the package import no other, until `default_addons` is asked for.

    The package imports them all, with Flask and an LDAP client: 13 MB, and a sixth of a start's time. If it has been
    imported already, nothing changes.
    """
    if PACKAGE in sys.modules:
        return
    import mitmproxy

    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.loader is None:  # another mitmproxy, which `check_version` refuses
        return
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def find(name: str) -> object:
        if name != ALL:
            raise AttributeError(f"module {PACKAGE!r} has no attribute {name!r}")
        del package.__getattr__
        loader.exec_module(package)
        return getattr(package, ALL)

    package.__getattr__ = find  # type: ignore[method-assign]
    sys.modules[PACKAGE] = package
    mitmproxy.addons = package  # type: ignore[attr-defined]
