"""Puts a configuration in force: at the first load and at every reload, by the same function."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from neurolink_mitm.config.sources import Inputs
from neurolink_mitm.core.cost.budget import unpriced
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.config")


def apply(runtime: Runtime, inputs: Inputs) -> None:
    """Serve by `inputs` from the next request on. Requests under way end as they began."""
    config, before = inputs.config, _followed(runtime)
    runtime.config, runtime.environ = config, inputs.environ
    runtime.config_path = inputs.config_path
    runtime.clients = inputs.clients
    runtime.proxies = inputs.network.proxies
    runtime.shaping = inputs.shaping
    if inputs.certificate != runtime.certificate:  # equal, if it is the same one read again
        runtime.certificate = inputs.certificate
    runtime.prices = runtime.prices.overridden(config.prices)
    routing, pool = config.routing, runtime.pool
    pool.configure(
        inputs.strategy, affinity=routing.session_affinity, primary=routing.primary_account
    )
    pool.update(_newest(runtime, inputs.accounts), inputs.others)
    pool.budget.pay_per_use = routing.pay_per_use
    pool.budget.cap = routing.daily_cap_usd
    pool.budget.unpriced = unpriced(inputs.others, runtime.prices)
    if before != _followed(runtime):
        for follower in runtime.on_config:
            _tell(follower, config)


def _followed(runtime: Runtime) -> tuple[object, ...]:
    return runtime.config, runtime.environ, runtime.certificate


def follow(runtime: Runtime, take: Callable[[Config], object]) -> None:
    """Call `take` with the configuration: now, and whenever it, the environment or the certificate has changed."""
    take(runtime.config)
    runtime.on_config.append(take)


def _newest(runtime: Runtime, accounts: Sequence[Account]) -> Sequence[Account]:
    """Return the accounts, with refreshed tokens that could not be written (a full disk): those on disk are spent."""
    refresher = runtime.refresher
    return [refresher.newest(account) for account in accounts] if refresher else accounts


def _tell(follower: Callable[[Config], object], config: Config) -> None:
    try:
        follower(config)
    except Exception:
        logger.exception("a change of the configuration is not taken over everywhere")
