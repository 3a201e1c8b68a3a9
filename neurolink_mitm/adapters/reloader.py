"""Changed files take effect in the running proxy, or are reported and change nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from neurolink_mitm.adapters.file_watch import FileWatch
from neurolink_mitm.adapters.sources import Inputs
from neurolink_mitm.core.access import NO_KEY, is_loopback
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.budget import unpriced
from neurolink_mitm.core.config_show import changed_variables, differences
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.config")
changes = logging.getLogger("neurolink.config.changes")
"""What the owner has changed: told with `--quiet`, too."""


class Source(Protocol):
    """What is watched, and how it is read anew; that may take its time and raise."""

    @property
    def paths(self) -> Sequence[Path]: ...

    def is_own_change(self, changed: Collection[Path]) -> bool:
        """Whether these files were changed by this proxy alone, which has taken it into account. May block."""

    def read_again(self) -> Inputs: ...


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
        adopt(self._runtime, inputs)
        self._report(inputs.faults)
        if not inputs.faults:
            self._runtime.config_loaded_at = self._runtime.clock.now()

    def _report(self, faults: tuple[str, ...]) -> None:
        if faults != self._runtime.config_errors:
            for fault in faults:
                logger.error("not taken over, all stays as it was: %s", fault)
        self._runtime.config_errors = faults


def adopt(runtime: Runtime, inputs: Inputs) -> None:
    """From the next request on. What is on its way ends as it began."""
    config_before, environ_before = runtime.config, runtime.environ
    accounts_before, clients_before = runtime.pool.accounts, runtime.clients
    had_keys = bool(runtime.client_keys)
    runtime.config, runtime.environ = inputs.config, inputs.environ
    runtime.clients = inputs.clients
    runtime.proxies = inputs.network.proxies
    runtime.shaping = inputs.shaping
    runtime.config_path = inputs.config_path
    routing = inputs.config.routing
    runtime.pool.configure(
        inputs.strategy, affinity=routing.session_affinity, primary=routing.primary_account
    )
    accounts = _newest(runtime, inputs.accounts)
    runtime.pool.update(accounts, inputs.others)
    runtime.pool.budget.pay_per_use = routing.pay_per_use
    runtime.pool.budget.cap = routing.daily_cap_usd
    runtime.prices = runtime.prices.overridden(inputs.config.prices)
    runtime.pool.budget.unpriced = unpriced(inputs.others, runtime.prices)

    changed = differences(config_before, inputs.config)
    variables = changed_variables(environ_before, inputs.environ)
    for line in changed:
        changes.info("configuration: %s", line)
    if variables:
        changes.info("changed in the env file: %s", ", ".join(variables))
    if clients_before != inputs.clients:
        counts = len(inputs.clients), len(clients_before)
        logger.info("client keys have changed: %d, %d before", *counts)
    if had_keys and not runtime.client_keys and not is_loopback(runtime.host):
        logger.error("nobody is let in: %s", NO_KEY.message)
    if _logins(accounts_before) != _logins(accounts):
        counts = len(accounts), len(accounts_before)
        logger.info("logins have changed: %d accounts, %d before", *counts)
    if changed or variables:
        for warning in inputs.warnings:
            logger.warning("%s", warning)
        _tell(runtime)


def _newest(runtime: Runtime, accounts: Sequence[Account]) -> Sequence[Account]:
    """A token that was renewed but could not be written (a full disk) stays: the one on disk is spent."""
    refresher = runtime.refresher
    return [refresher.newest(account) for account in accounts] if refresher else accounts


def _logins(accounts: Sequence[Account]) -> list[tuple[object, ...]]:
    return [(account.key, account.secret, account.disabled) for account in accounts]


def _tell(runtime: Runtime) -> None:
    for callback in runtime.on_config:
        try:
            callback(runtime.config)
        except Exception:
            logger.exception("a change of the configuration is not taken over everywhere")
