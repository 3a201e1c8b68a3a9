"""`neurolink config edit`: the file in an editor, and back in its place only when it is good."""

from __future__ import annotations

import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from neurolink_mitm.adapters.files import write_atomic
from neurolink_mitm.adapters.persisted_state import locked
from neurolink_mitm.cli.auth.context import say
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.config.file import load
from neurolink_mitm.core.settings.errors import ConfigError

NEW = b"""\
# NeuroLink's configuration: `neurolink docs configuration` has every key, `neurolink config show` what is in force.
version: 1
"""


def edit_file(path: Path, environ: Mapping[str, str]) -> None:
    """Let the user change a copy until it is good, then put it in the place of the file."""
    before = path.read_bytes() if path.exists() else None
    copy = _copy(path, NEW if before is None else before)
    _edit(copy)
    while copy.read_bytes() != before:
        faults = _faults(copy, environ)
        if not faults:
            _put(path, before, copy)
            return
        say("\n  ".join(("neurolink: this can't be used:", *faults)))
        if not sys.stdin.isatty() or not click.confirm("Edit it again?", default=True, err=True):
            fail(f"{path} is as it was; your text is kept in {copy}", USAGE)
        _edit(copy)
    copy.unlink()
    click.echo("nothing was changed")


def _copy(path: Path, data: bytes) -> Path:
    """Beside the file, and named so that editors know what it is. What was left of an earlier edit is taken up."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = path.with_name(f"{path.stem}.edit{path.suffix}")
    if copy.exists():
        say(f"neurolink: going on with {copy}, from an edit before; remove it to begin anew")
    else:
        write_atomic(copy, data)
    return copy


def _edit(copy: Path) -> None:
    try:
        click.edit(filename=str(copy))
    except click.ClickException as e:
        fail(f"{e.format_message()}; your text is in {copy}", FAILED)


def _faults(copy: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    try:
        warnings = load(copy, environ).warnings
    except ConfigError as e:
        return e.faults
    for warning in warnings:
        say(f"neurolink: warning: {warning}")
    return ()


def _put(path: Path, before: bytes | None, copy: Path) -> None:
    with locked(path):
        now = path.read_bytes() if path.exists() else None
        if now != before:
            fail(f"{path} was changed meanwhile and is left so; your text is in {copy}", FAILED)
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
        write_atomic(path, copy.read_bytes(), mode)
    copy.unlink()
    click.echo(f"{path} is written; a running proxy takes it over by itself")
