"""Diagnostics of stale state: what a proxy that has ended left behind, and how to clean it up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from neurolink_mitm.core.auth.credentials import PROVIDER
from neurolink_mitm.core.logs.reset_times import reset_time
from neurolink_mitm.core.pool.cooldown import in_bounds
from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.core.request.endpoints import described
from neurolink_mitm.core.status.diagnostic import Diagnostic, fail, warn
from neurolink_mitm.core.status.probe_results import ProxyProbe, SettingsProbe
from neurolink_mitm.doctor.request_path import BASE_URL

START = "neurolink proxy start"


def diagnose_stale_state(
    proxy: ProxyProbe,
    settings: SettingsProbe | None,
    cooldowns: Mapping[str, PersistedState],
    now: float,
) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of stale state; none if the proxy ended well and no account cools."""
    return (*_state(proxy), *_guard(proxy), *_settings(settings), *_cooldowns(cooldowns, now))


def _state(proxy: ProxyProbe) -> Iterator[Diagnostic]:
    if proxy.pid is not None:
        yield warn(
            "leftover-state",
            f"process {proxy.pid} ended without cleaning up its state file",
            f"{START} takes it over",
        )


def _guard(proxy: ProxyProbe) -> Iterator[Diagnostic]:
    if proxy.guard_alive:
        yield warn(
            "leftover-guard",
            f"its guard still runs (pid {proxy.guard_pid})",
            "it ends by itself within seconds, and puts Claude Code's settings back",
        )


def _settings(settings: SettingsProbe | None) -> Iterator[Diagnostic]:
    if settings and settings.answered is False:
        yield fail(
            "claude-settings-leftover",
            f"{settings.path} still points Claude Code at {settings.env[BASE_URL]},"
            " where nothing listens",
            f"{START}, or take {BASE_URL} out of the file",
        )


def _cooldowns(cooldowns: Mapping[str, PersistedState], now: float) -> Iterator[Diagnostic]:
    for key, state in cooldowns.items():
        for scope, written in state.scopes.items():
            cooldown = in_bounds(written, now)
            if cooldown.cooling(now):
                label = key.removeprefix(PROVIDER)
                of = "" if cooldown.whole else described(scope)
                what = f"{label} for {of}" if of else label
                yield warn(
                    "leftover-cooldown",
                    f"account {what} cools until {reset_time(cooldown.recovery(now), now)}:"
                    f" {cooldown.reason}",
                    f"neurolink proxy reset '{label}'",
                )
