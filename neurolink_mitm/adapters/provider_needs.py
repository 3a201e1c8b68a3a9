"""Which providers can't work on this machine, whatever their key, and the command that mends it.

Packages are looked for, never imported: LiteLLM takes seconds.
"""

from __future__ import annotations

import importlib
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path

from neurolink_mitm.adapters.system import how_to_add
from neurolink_mitm.core.providers.needs import (
    LITELLM,
    LOGINS,
    PACKAGES,
    DeviceLogin,
    lacks_login,
    lacks_package,
)


def unfit_providers(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return those of the providers `names` that can't work here, with the reason and what mends it. Blocks briefly."""
    importlib.invalidate_caches()  # a package may have been installed since the start
    reasons = ((name, _unfit(name, environ)) for name in names)
    return {name: reason for name, reason in reasons if reason}


def _unfit(name: str, environ: Mapping[str, str]) -> str | None:
    needed = (LITELLM, PACKAGES[name]) if name in PACKAGES else (LITELLM,)
    for package in needed:
        if not is_installed(package.module):
            command = how_to_add((package.name,), package.name)
            return lacks_package(package, command)
    login = LOGINS.get(name)
    if login and not _has_logged_in(login, environ):
        return lacks_login(login.command(shlex.quote(sys.executable)))
    return None


def has_litellm() -> bool:
    """Return whether other providers can be asked at all: the container image `slim` leaves LiteLLM out."""
    importlib.invalidate_caches()
    return is_installed(LITELLM.module)


def is_installed(module: str) -> bool:
    """Return whether `module`, at most one level deep, can be found; nothing is imported, not even its parent."""
    parent, _, name = module.partition(".")
    found = PathFinder.find_spec(parent)
    if found is None or not name:
        return found is not None
    within = list(found.submodule_search_locations or ())
    return PathFinder.find_spec(module, within) is not None


def _has_logged_in(login: DeviceLogin, environ: Mapping[str, str]) -> bool:
    folder = environ.get(login.variable)
    below = Path(folder) if folder else Path(environ.get("HOME", "")) / login.folder
    return (below / login.file).is_file()
