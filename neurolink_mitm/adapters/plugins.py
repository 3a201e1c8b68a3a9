"""Builds the pipeline of request shaping: its plugins (files, entry points of packages) and the key of placeholders."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType
from typing import Any

from neurolink_mitm.adapters.files import locked, set_aside, write_atomic
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.shaping import Cloaking
from neurolink_mitm.core.shaping.outgoing import Rewriter
from neurolink_mitm.core.shaping.pipeline import Named, Pipeline

LENGTH = 32
"""Bytes of the key."""
GROUP = "neurolink.shaping"
"""The group of entry points."""
AT = "cloaking.plugins.custom"


def read_key(path: Path) -> bytes:
    """Return the key of placeholders. Raises `OSError`.

    It is created once, so that a word has the same placeholder after a restart. A broken one is set aside.
    """
    with locked(path):
        key = _read(path)
        if key is None:
            key = secrets.token_bytes(LENGTH)
            write_atomic(path, key.hex().encode() + b"\n")
        return key


def _read(path: Path) -> bytes | None:
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except FileNotFoundError:
        return None
    except ValueError:
        key = b""
    if len(key) == LENGTH:
        return key
    set_aside(path)
    return None


def pipeline(cloaking: Cloaking, beside: Path, home: Home) -> Pipeline:
    """Build the pipeline of a configuration in the folder `beside`; plugins are loaded anew each time.

    Raises:
        ConfigError: a plugin can't be loaded, or the key can't be read or written.
    """
    if cloaking.mode == "never":
        return Pipeline()
    custom = tuple(load(cloaking.plugins.custom, beside))
    return Pipeline.of(cloaking, _key(cloaking, home), custom, time.monotonic)


def load(names: tuple[str, ...], beside: Path) -> Iterator[Named]:
    """Load the user's plugins by name; one that ends in `.py` is a file. Raises `ConfigError`."""
    for index, name in enumerate(names):
        at = f"{AT}[{index}]"
        is_file = name.endswith(".py")
        try:
            kind = _class_in(beside / Path(name).expanduser()) if is_file else _entry_point(name)
            plugin = kind()
        except ConfigError as e:
            raise ConfigError(*(f"{at}: {fault}" for fault in e.faults)) from e
        except Exception as e:
            raise ConfigError(f"{at}: {name} can't be loaded: {type(e).__name__}: {e}") from e
        if not callable(getattr(plugin, "rewrite", None)):
            raise ConfigError(f"{at}: {name}: {kind.__name__} has no method `rewrite`")
        yield Path(name).stem if is_file else name, plugin


class _Source(SourceFileLoader):
    """A loader without `__pycache__`, which would be stale after a quick change."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def _class_in(path: Path) -> type[Rewriter]:
    """Return the one class with a method `rewrite` that a file defines."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    name = f"neurolink_shaping_{path.stem}"
    loader = _Source(name, str(path))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = sys.modules[name] = module_from_spec(spec)  # dataclasses look for it there
    loader.exec_module(module)
    classes = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == name and hasattr(each, "rewrite")
    ]
    if len(classes) != 1:
        raise ConfigError(
            f"{path}: must have one class with a method `rewrite`, has {len(classes)}"
        )
    kind: type[Rewriter] = classes[0]
    return kind


def _entry_point(name: str) -> Any:
    from importlib import metadata  # slow, and hardly ever needed

    points = metadata.entry_points(group=GROUP, name=name)
    if not points:
        raise ConfigError(
            f"{name} is neither a file that ends in .py nor an entry point of the group {GROUP}"
        )
    return next(iter(points)).load()


def _key(cloaking: Cloaking, home: Home) -> bytes:
    """Return the key if placeholders, or ids of other clients' requests, are made with it."""
    plugins = cloaking.plugins
    makes_ids = cloaking.mode == "always" and plugins.session_identity.enabled
    if not makes_ids and not plugins.word_obfuscator.enabled:
        return b""
    try:
        return read_key(home.shaping_key)
    except OSError as e:
        raise ConfigError(f"{home.shaping_key}: can't be read or written: {e.strerror or e}") from e
