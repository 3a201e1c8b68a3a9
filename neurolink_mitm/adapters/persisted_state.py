"""`cooldowns.json` and `account-quotas.json`: the state of accounts, persisted across restarts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import msgspec

from neurolink_mitm.adapters.background import Worker
from neurolink_mitm.adapters.files import locked as locked
from neurolink_mitm.adapters.files import read_whole, set_aside, write_atomic
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.windows import FIVE_HOURS, SEVEN_DAYS, Window, sound

logger = logging.getLogger("neurolink.memory")

QUOTA_INTERVAL = 5.0
"""Seconds between two writes of quotas, which change with every response."""

T = TypeVar("T")


class _Cooldowns(msgspec.Struct):
    version: int = 1
    accounts: dict[str, PersistedState] = {}


class _Quotas(msgspec.Struct):
    version: int = 1
    accounts: dict[str, Quota] = {}


@dataclass(frozen=True, slots=True)
class _OldQuota(Quota):
    """A quota as it was written before windows had upstream's names."""

    five_hour: Window | None = None
    seven_day: Window | None = None

    def renamed(self) -> Quota:
        old = {FIVE_HOURS: self.five_hour, SEVEN_DAYS: self.seven_day}
        windows = {n: replace(each, seen_at=self.seen_at) for n, each in old.items() if each}
        values = {each.name: getattr(self, each.name) for each in fields(Quota)}
        return Quota(**values | {"windows": sound({**windows, **self.windows})})


class _ReadQuotas(msgspec.Struct):
    accounts: dict[str, _OldQuota] = {}


class FileStateStore:
    """Writes the latest state in a thread of its own: cooldowns at once, quotas at most every 5 s.

    A failed write is logged, but not again until one has succeeded.
    """

    def __init__(self, cooldowns: Path, quotas: Path, every: float = QUOTA_INTERVAL) -> None:
        self._paths = {_Cooldowns: cooldowns, _Quotas: quotas}
        self._every = every
        self._latest: dict[type, msgspec.Struct] = {}
        self._quotas_at = 0.0
        self._closing = False
        self._failing = False
        self._changed = threading.Condition()
        self._thread = Worker(self._run, "pool-memory")

    def cooldowns(self, by_account: Mapping[str, PersistedState]) -> None:
        self._put(_Cooldowns(accounts=dict(by_account)))

    def quotas(self, by_account: Mapping[str, Quota]) -> None:
        self._put(_Quotas(accounts=dict(by_account)))

    def close(self, timeout: float = 5.0) -> None:
        """Write what is unwritten, within `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.end(timeout)

    def _put(self, state: msgspec.Struct) -> None:
        with self._changed:
            if type(state) not in self._latest:  # else the thread was notified before
                self._changed.notify()
            self._latest[type(state)] = state

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (due := self._due()) and not self._closing:
                    self._changed.wait(self._wait())
                if not due:
                    return
                states = [self._latest.pop(kind) for kind in due]
            for state in states:
                self._write(state)

    def _due(self) -> list[type]:
        """Return what is to be written now: all of it while closing."""
        early = time.monotonic() < self._quotas_at and not self._closing
        return [kind for kind in self._latest if not (kind is _Quotas and early)]

    def _wait(self) -> float | None:
        """Return the seconds until something is due; None if nothing is unwritten."""
        return max(0.0, self._quotas_at - time.monotonic()) if self._latest else None

    def _write(self, state: msgspec.Struct) -> None:
        path = self._paths[type(state)]
        if isinstance(state, _Quotas):
            self._quotas_at = time.monotonic() + self._every
        try:
            with locked(path):
                write_atomic(path, msgspec.json.encode(state) + b"\n")
        except Exception as e:  # the thread goes on, whatever it is
            if not self._failing:
                logger.error("%s can't be written, it is forgotten at a restart: %s", path.name, e)
            self._failing = True
        else:
            self._failing = False


class NullStore:
    """Persists nothing."""

    def cooldowns(self, by_account: Mapping[str, PersistedState]) -> None: ...

    def quotas(self, by_account: Mapping[str, Quota]) -> None: ...


def read_cooldowns(path: Path) -> Mapping[str, PersistedState]:
    """Return the persisted cooldowns by account key; none without a file, and a broken one is set aside."""
    return _read(path, _Cooldowns, _Cooldowns()).accounts


def read_quotas(path: Path) -> Mapping[str, Quota]:
    """Return the persisted quotas by account key, likewise."""
    accounts = _read(path, _ReadQuotas, _ReadQuotas()).accounts
    return {key: quota.renamed() for key, quota in accounts.items()}


def write_cooldowns(path: Path, by_account: Mapping[str, PersistedState]) -> None:
    """Write the cooldowns at once, while no proxy runs. Raises `OSError`."""
    with locked(path):
        write_atomic(path, msgspec.json.encode(_Cooldowns(accounts=dict(by_account))) + b"\n")


def _read(path: Path, kind: type[T], empty: T) -> T:
    try:
        return msgspec.json.decode(read_whole(path), type=kind)
    except FileNotFoundError:
        return empty
    except OSError as e:
        logger.error("%s can't be read: %s", path, e.strerror)
    except (ValueError, *UNREADABLE):
        set_aside(path)
    return empty
