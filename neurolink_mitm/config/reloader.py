"""Tells when files change: written in place, replaced by rename, behind a symbolic link, gone, there again.

Changed files take effect in the running proxy, or are reported and change nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from watchfiles import awatch

from neurolink_mitm.config.apply import apply
from neurolink_mitm.config.show import changed_variables, differences
from neurolink_mitm.config.sources import Inputs
from neurolink_mitm.core.auth.access import NO_KEY, ClientKey, is_loopback
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.watch")
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # a line for each write of our own

STEP = 100
"""Milliseconds of quiet after which a change is taken to be whole."""
AT_LEAST = 5.0
"""Seconds after which files are looked at even if nothing was heard: network file systems tell nothing."""

Signature = tuple[int, int, int] | None


class FileWatch:
    """Over some files, each of which may be missing. What is new is told by comparison with the last look."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._seen = signatures(self._paths)

    async def changes(self) -> AsyncGenerator[frozenset[Path], None]:
        """Yields what has changed, for ever; at once where something has changed before it was called."""
        if changed := self._look():
            yield changed
        while True:
            places = directories(self._paths)
            async with aclosing(_events(places)) as events:
                async for _ in events:
                    if changed := self._look():
                        yield changed
                    if directories(self._paths) != places:
                        break

    def _look(self) -> frozenset[Path]:
        before, self._seen = self._seen, signatures(self._paths)
        pairs = zip(self._paths, before, self._seen, strict=True)
        return frozenset(path for path, old, new in pairs if old != new)


def signatures(paths: Iterable[Path]) -> tuple[Signature, ...]:
    """Tells one state of the files from another."""
    return tuple(map(_signature, paths))


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def directories(paths: Iterable[Path]) -> frozenset[str]:
    """Where something happens when one of the files changes: beside it, and beside what it is a link to."""
    beside = (Path(where).parent for path in paths for where in (path, os.path.realpath(path)))
    return frozenset(str(place) for place in beside if place.is_dir())


async def _events(places: Iterable[str]) -> AsyncGenerator[None, None]:
    try:
        # all of it, unfiltered: a link to a directory may be what is exchanged
        watched = awatch(
            *places, watch_filter=None, recursive=False, step=STEP, debounce=2 * STEP,
            rust_timeout=int(AT_LEAST * 1000), yield_on_timeout=True,
        )  # fmt: skip
        async with aclosing(watched):
            async for _ in watched:
                yield
    except (
        OSError,
        RuntimeError,
    ) as e:  # of inotify there is only so much; watchfiles has an error of its own
        logger.warning("files are looked at every %.0f s: they can't be watched: %s", AT_LEAST, e)
    while True:
        await asyncio.sleep(AT_LEAST)
        yield


changes = logging.getLogger("neurolink.config.changes")
"""What the owner has changed: told with `--quiet`, too."""


class Source(Protocol):
    """What is watched, and how it is read anew; that may take its time and raise."""

    @property
    def paths(self) -> Sequence[Path]: ...

    def is_own_change(self, changed: Collection[Path]) -> bool:
        """Whether these files were changed by this proxy alone, which has taken it into account. May block."""

    def read_again(self) -> Inputs: ...


@dataclass(frozen=True, slots=True)
class _State:
    """What is in force, as far as changes of it are told."""

    config: Config
    environ: Mapping[str, str] = field(repr=False)
    clients: tuple[ClientKey, ...]
    accounts: tuple[Account, ...]
    asks_for_key: bool

    @classmethod
    def of(cls, runtime: Runtime) -> Self:
        asks = bool(runtime.client_keys)
        accounts = runtime.pool.accounts
        return cls(runtime.config, runtime.environ, runtime.clients, accounts, asks)


class Reloader:
    """Made before the proxy serves, so that no change is missed; runs until it is cancelled."""

    def __init__(self, runtime: Runtime, source: Source) -> None:
        self._runtime = runtime
        self._source = source
        self._watch = FileWatch(source.paths)

    async def run(self) -> None:
        async for changed in self._watch.changes():
            if not await asyncio.to_thread(self._source.is_own_change, changed):
                await self.reload()

    async def reload(self) -> None:
        """What can't be read leaves everything as it is."""
        try:
            inputs = await asyncio.to_thread(self._source.read_again)
        except Exception as e:
            self._report((str(e),))
            return
        before = _State.of(self._runtime)
        apply(self._runtime, inputs)
        _report_changes(before, self._runtime, inputs.warnings)
        self._report(inputs.faults)
        if not inputs.faults:
            self._runtime.config_loaded_at = self._runtime.clock.now()

    def _report(self, faults: tuple[str, ...]) -> None:
        if faults != self._runtime.config_errors:
            for fault in faults:
                logger.error("not taken over, all stays as it was: %s", fault)
        self._runtime.config_errors = faults


def _report_changes(before: _State, runtime: Runtime, warnings: Sequence[str]) -> None:
    now = _State.of(runtime)
    changed = differences(before.config, now.config)
    variables = changed_variables(before.environ, now.environ)
    for line in changed:
        changes.info("configuration: %s", line)
    if variables:
        changes.info("changed in the env file: %s", ", ".join(variables))
    if before.clients != now.clients:
        logger.info(
            "client keys have changed: %d, %d before", len(now.clients), len(before.clients)
        )
    if before.asks_for_key and not now.asks_for_key and not is_loopback(runtime.host):
        logger.error("nobody is let in: %s", NO_KEY.message)
    if _logins(before.accounts) != _logins(now.accounts):
        counts = len(now.accounts), len(before.accounts)
        logger.info("logins have changed: %d accounts, %d before", *counts)
    if changed or variables:
        for warning in warnings:
            logger.warning("%s", warning)


def _logins(accounts: Sequence[Account]) -> list[tuple[object, ...]]:
    return [(account.key, account.secret, account.disabled) for account in accounts]
