"""Edits the configuration file: an edited copy put in its place, or single values alone (`editable`)."""

from __future__ import annotations

import codecs
import errno
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.files import ChangedError, compare_and_swap, locked, read, write_atomic
from neurolink_mitm.config.document import account_names
from neurolink_mitm.config.editable import (
    ACCOUNTS,
    Change,
    by_hand,
    check_change,
    check_rest,
    place,
    same,
    with_value,
)
from neurolink_mitm.config.editable import NotEditableError as NotEditableError
from neurolink_mitm.config.file import document_of, is_json, load
from neurolink_mitm.config.history import History
from neurolink_mitm.config.show import changed_values
from neurolink_mitm.config.splice import NotSplicedError, splice
from neurolink_mitm.core.settings.errors import ConfigError, Loc, value_at
from neurolink_mitm.core.settings.values import Config

BLANK = b"""\
# NeuroLink's configuration: `neurolink docs configuration` has every key, `neurolink config show` what is in force.
version: 1
"""
"""What an editor begins with where there is no file."""
Check = Callable[[Any], object]
"""Is called with the value that there is, before it is changed."""


def primary(label: str | None) -> Change:
    return Change(("routing", "primaryAccount"), label)


def order(labels: Sequence[str]) -> Change:
    return Change(("routing", "accountOrder"), list(labels))


def copy_for_editing(path: Path) -> tuple[Path, bool]:
    """Return a copy beside `path`, its suffix kept for editors, and whether it is left from an earlier edit."""
    copy = path.with_name(f"{path.stem}.edit{path.suffix}")
    if copy.exists():
        return copy, True
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = read(path)
    write_atomic(copy, BLANK if before is None else before)
    return copy, False


def swap_in(
    path: Path,
    before: bytes | None,
    copy: Path,
    audit: Audit,
    environ: Mapping[str, str],
    history: History,
) -> None:
    """Replace `before`, the content of `path` (None: no file), by that of `copy`, which loads, and remove `copy`.

    Raises `ChangedError` where somebody has changed `path` meanwhile.
    """
    with locked(path):
        old, new = _settings(path, environ), _settings(copy, environ)
        content = copy.read_bytes()
        if read(path) != before:
            raise ChangedError
        kept = history.keeping(new_file(path) if before is None else before, content)
        # to one that was broken nobody goes back
        with kept if _is_good(path, environ) else nullcontext():
            compare_and_swap(path, before, content)
    copy.unlink()
    audit.record("config edit", str(path), *changed_values(old, new))


def _is_good(path: Path, environ: Mapping[str, str]) -> bool:
    try:
        return bool(load(path, environ, required=False))
    except ConfigError:
        return False


def _settings(path: Path, environ: Mapping[str, str]) -> Config:
    """Return the settings in `path`; those of an empty file where it can't be used."""
    try:
        return load(path, environ, required=False).config
    except ConfigError:
        return Config()


def set_primary(
    path: Path, label: str | None, audit: Audit, check: Check = lambda _: None
) -> str | None:
    """Write `routing.primary-account` into `path`, which loads or is missing; with None take it away.

    Return the value before, with which `check` is called first. Raises `OSError`, `NotEditableError`, `ChangedError`
    where another program has written the file meanwhile, and what `check` raises.
    """
    before: str | None = _write(path, primary(label), check)
    if before != label:
        action = "set-primary" if label else "clear-primary"
        audit.record(action, label or before, before, label)
    return before


def set_order(
    path: Path, labels: Sequence[str], audit: Audit, check: Check = lambda _: None
) -> Sequence[str]:
    """Write `routing.account-order` likewise; without labels take it away. Return the value before."""
    before, after = (
        _write(path, order(labels), lambda value: check(value or [])) or [],
        list(labels),
    )
    if before != after:
        audit.record("order", None, before, after)
    return before


def _write(path: Path, change: Change, check: Check) -> Any:
    """Write the value, and return the one before."""
    with locked(path):
        before = read(path)
        old = new_file(path) if before is None else before
        document = document_of(path, old)
        value = value_at(document, place(document, change, ()))
        check(value)
        compare_and_swap(path, before, edited(path, old, [change], {}))
    return value


def new_file(path: Path) -> bytes:
    """Return the content that a missing file stands for."""
    return b'{"version": 1}\n' if is_json(path) else b"version: 1\n"


def edited(
    path: Path, content: bytes, changes: Sequence[Change], environ: Mapping[str, str]
) -> bytes:
    """Return the content of `path` with these values changed, and every other character as it was.

    Raises `NotEditableError`, `NotAllowedError`, `ConfigError`.
    """
    document_of(path, content)
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    text = content.removeprefix(mark).decode()
    for change in changes:
        check_change(change)
        text = _with_change(path, text, change, environ)
    return mark + text.encode()


def _with_change(path: Path, text: str, change: Change, environ: Mapping[str, str]) -> str:
    document = document_of(path, text.encode())
    names = account_names(document, environ)
    loc = place(document, change, names)
    value = change.value or None if isinstance(change.value, list) else change.value
    account = change.loc[2] if change.loc[0] == ACCOUNTS[0] else None
    is_new = account is not None and loc[2] == len(names)
    if is_new and value is None:
        return text
    expected = with_value(document, loc, value, account)
    if same(document, expected):
        return text
    at, new = (loc[:3], {"name": account, str(loc[3]): value}) if is_new else (loc, value)
    made = _spliced(path, text, at, new, expected)
    if made is None:
        raise NotEditableError(
            f"is written in a way that can't be changed safely; {by_hand(change)}"
        )
    if value is None and len(loc) == 2:
        return _as_before(path, text, loc, value_at(document, loc), made, expected)
    return made


def _as_before(path: Path, text: str, loc: Loc, value: object, bare: str, expected: object) -> str:
    """Return what has become `text` when `value` was added, maybe with its section; else `bare`, which lacks it."""
    candidates = [bare]
    if not re.search(rf"(?m)^{loc[0]}:.*\n[ \t]+#", bare):  # a comment stays where it belongs
        candidates.insert(0, _spliced(path, text, loc[:1], None, expected) or bare)
    before = with_value(expected, loc, value)
    for each in candidates:
        for made in (each, each.removesuffix("\n").removesuffix("\r")):  # the last line had no end
            if _spliced(path, made, loc, value, before) == text:
                return made
    return bare


def _spliced(path: Path, text: str, at: Loc, value: object, expected: object) -> str | None:
    """Return the text with the value, if it means what is expected."""
    try:
        made = splice(text, at, value, is_json=is_json(path))
        return made if same(document_of(path, made.encode()), expected) else None
    except (NotSplicedError, yaml.YAMLError, ConfigError, LookupError, ValueError, RecursionError):
        return None


def put(path: Path, before: bytes | None, after: bytes, history: History) -> None:
    """Replace `before`, the content of `path` (None: no file), by `after`, and keep it in the history.

    Nothing may differ but what may be edited. Raises `ChangedError` where somebody has changed `path` meanwhile,
    `NotAllowedError`, `ConfigError`, `OSError`.
    """
    old = new_file(path) if before is None else before
    check_rest(document_of(path, old), document_of(path, after))
    with locked(path):
        if before is not None and not path.stat().st_mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, "is read-only", str(path))
        if read(path) != before:
            raise ChangedError
        with history.keeping(old, after):
            compare_and_swap(path, before, after)
