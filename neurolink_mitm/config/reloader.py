"""Reloads the files that a proxy is made from when they change; bad ones are reported and change nothing.

A change is a file that is written in place, replaced by rename, changed behind a symbolic link, removed or made anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, TypeVar

from watchfiles import awatch

from neurolink_mitm.config.apply import apply
from neurolink_mitm.config.show import changed_variables, differences
from neurolink_mitm.config.sources import Inputs
from neurolink_mitm.core.auth.access import NO_CLIENT_KEY
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.auth.loopback import is_loopback
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.core.status.listening import exposure
from neurolink_mitm.dataplane.threads import short_switch_interval
from neurolink_mitm.ports import Certificate, Runtime

T = TypeVar("T")

logger = logging.getLogger("neurolink.watch")
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # a line for each write of our own

STEP = 100
"""Milliseconds of quiet after which a change is whole."""
AT_LEAST = 5.0
"""Seconds after which files are compared without an event: network file systems send none."""

Signature = tuple[int, int, int] | None
"""Inode, size and time of a file; None if it is missing."""


class FileWatch:
    """Watches files, each of which may be missing, by comparing their signatures after each event."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._seen = dict(zip(paths, signatures(paths), strict=True))

    def watch(self, paths: Sequence[Path]) -> None:
        """Watch these files from now on; of new ones, changes from now on."""
        new = [path for path in paths if path not in self._seen]
        seen = self._seen | dict(zip(new, signatures(new), strict=True))
        self._seen = {path: seen[path] for path in paths}

    async def changes(self) -> AsyncGenerator[frozenset[Path], None]:
        """Yield the changed files, for ever; at once those changed since the watch was made."""
        if changed := self._look():
            yield changed
        while True:
            places = directories(self._seen)
            async with aclosing(_events(places)) as events:
                async for _ in events:
                    if changed := self._look():
                        yield changed
                    if directories(self._seen) != places:
                        break

    def _look(self) -> frozenset[Path]:
        before = self._seen
        self._seen = dict(zip(before, signatures(before), strict=True))
        return frozenset(path for path, new in self._seen.items() if before[path] != new)


def signatures(paths: Iterable[Path]) -> tuple[Signature, ...]:
    return tuple(map(_signature, paths))


def _signature(path: Path) -> Signature:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def directories(paths: Iterable[Path]) -> frozenset[str]:
    """Return the directories with events for the files: their own, and those of the targets of links."""
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
    except (OSError, RuntimeError) as e:  # inotify is limited; watchfiles raises an own error
        logger.warning("files are looked at every %.0f s: they can't be watched: %s", AT_LEAST, e)
    while True:
        await asyncio.sleep(AT_LEAST)
        yield


changes = logging.getLogger("neurolink.config.changes")
"""The changes of the configuration, logged with `--quiet`, too."""


class Source(Protocol):
    """What is watched, and how it is read anew. All may block; `read_again` may raise."""

    @property
    def paths(self) -> Sequence[Path]: ...

    def is_own_change(self, changed: Collection[Path]) -> bool:
        """Whether this proxy itself has made the change, and serves by it already."""

    def read_again(self) -> Inputs: ...


@dataclass(frozen=True, slots=True)
class _State:
    """What is in force, as far as its changes are logged."""

    config: Config
    environ: Mapping[str, str] = field(repr=False)
    clients: tuple[ClientKey, ...]
    accounts: tuple[Account, ...]
    asks_for_key: bool
    host: str
    certificate: Certificate | None

    @classmethod
    def of(cls, runtime: Runtime) -> Self:
        asks = bool(runtime.client_keys)
        accounts = runtime.pool.accounts
        return cls(
            runtime.config, runtime.environ, runtime.clients, accounts, asks, runtime.host,
            runtime.certificate,
        )  # fmt: skip


class Reloader:
    """Reloads on changes until `run` is cancelled; made before the proxy serves, so that no change is missed."""

    def __init__(self, runtime: Runtime, source: Source) -> None:
        self._runtime = runtime
        self._source = source
        self._watch = FileWatch(source.paths)

    async def run(self) -> None:
        async for changed in self._watch.changes():
            if not await asyncio.to_thread(self._source.is_own_change, changed):
                await self.reload()

    async def reload(self) -> None:
        """Read the files and put them in force; files that can't be read leave everything as it is."""
        try:
            inputs = await asyncio.to_thread(_in_small_steps, self._source.read_again)
        except Exception as e:
            self._report((str(e),))
            return
        before = _State.of(self._runtime)
        apply(self._runtime, inputs)
        self._watch.watch(self._source.paths)
        now = _State.of(self._runtime)
        # hundreds of changed accounts are as many lines
        await asyncio.to_thread(
            _in_small_steps, lambda: _report_changes(before, now, inputs.warnings)
        )
        self._report(inputs.faults)
        if not inputs.faults:
            self._runtime.config_loaded_at = self._runtime.clock.now()

    def _report(self, faults: tuple[str, ...]) -> None:
        if faults != self._runtime.config_errors:
            for fault in faults:
                logger.error("not taken over, all stays as it was: %s", fault)
        self._runtime.config_errors = faults


def _in_small_steps(do: Callable[[], T]) -> T:
    """Return what `do` returns; the event loop waits little for its turn meanwhile."""
    with short_switch_interval():
        return do()


def _report_changes(before: _State, now: _State, warnings: Sequence[str]) -> None:
    changed = differences(before.config, now.config)
    variables = changed_variables(before.environ, now.environ)
    for line in changed:
        changes.info("configuration: %s", line)
    if variables:
        changes.info("changed in the env file: %s", ", ".join(variables))
    if before.clients != now.clients:
        counts = len(now.clients), len(before.clients)
        logger.info("client keys or their limits have changed: %d, %d before", *counts)
    if before.asks_for_key and not now.asks_for_key and not is_loopback(now.host):
        logger.error("nobody is let in: %s", NO_CLIENT_KEY.message)
    if _logins(before.accounts) != _logins(now.accounts):
        counts = len(now.accounts), len(before.accounts)
        logger.info("logins have changed: %d accounts, %d before", *counts)
    renewed = now.certificate != before.certificate
    if renewed:
        what = f"TLS by {now.certificate.path}" if now.certificate else "plain HTTP"
        logger.info("new connections of callers: %s; open ones go on as they are", what)
        warnings = (*exposure(now.host, now.certificate, now.config.listen.hosts), *warnings)
    if changed or variables or renewed:
        for warning in warnings:
            logger.warning("%s", warning)


def _logins(accounts: Sequence[Account]) -> list[tuple[object, ...]]:
    return [(account.key, account.secret, account.disabled) for account in accounts]
