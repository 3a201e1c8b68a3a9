"""mitmproxy's default addons. Of more than thirty a lean master has four: the others are imported when asked for."""

from __future__ import annotations

import importlib.util
import sys

PACKAGE = "mitmproxy.addons"
ALL = "default_addons"
"""The package's own function, which makes one of each."""


def put_off() -> None:
    """From here on, to import one of the package's modules imports no other; to ask for `default_addons` still does.

    By itself the package imports them all, Flask and an LDAP client with them: 13 MB, and a sixth of the time that a
    start takes. Once it has been imported there is nothing to put off.
    """
    if PACKAGE in sys.modules:
        return
    import mitmproxy

    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.loader is None:  # another mitmproxy; its version is refused elsewhere
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
