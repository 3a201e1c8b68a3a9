"""Turns probe results into diagnostics: here those of this machine, in `request_path` those of the path to upstream.

Each diagnostic says in one line what is wrong and what to do; docs/troubleshooting.md explains it by its id.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.reset_times import in_local_time
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.text import redact, without_passwords
from neurolink_mitm.core.status import event_loop as lag
from neurolink_mitm.core.status.diagnostic import (
    DISK_FULL,
    DISK_LOW,
    SKEW,
    Diagnostic,
    fail,
    ok,
    warn,
)
from neurolink_mitm.core.status.probe_results import (
    ConfigProbe,
    FileProbe,
    NoticesProbe,
    ProbeResults,
    ProxyProbe,
    ServiceProbe,
)
from neurolink_mitm.core.status.versions import (
    OLDEST_PYTHON,
    REQUIREMENT,
    aging,
    fits_mitmproxy,
    fits_python,
)
from neurolink_mitm.doctor.cluster_state import diagnose_cluster
from neurolink_mitm.doctor.request_path import diagnose_request_path

OTHERS = 0o077
SOON = 3 * 86400.0
"""Seconds before a token that can't be refreshed expires in which a new login is advised."""
NEEDS_LOGIN = "needs login"
LOGIN = "neurolink auth login anthropic"


def diagnose(results: ProbeResults) -> tuple[Diagnostic, ...]:
    """Return all diagnostics, in the order from this machine to Anthropic."""
    diagnostics = (
        *_versions(results),
        *_home(results),
        *_files(results),
        *_disk(results),
        *_leftovers(results),
        *_config(results.config),
        *_accounts(results),
        *_other_tools(results.other_tools),
        *_notices(results.notices, results.proxy),
        *_unwritten(results),
        *_clock(results),
        *_service(results.service),
        *_guard(results.proxy),
        *diagnose_cluster(results.cluster),
        *_loop(results.proxy),
        *diagnose_request_path(results),
        *_unchecked(results),
    )
    return tuple(replace(each, text=clean(each.text), fix=clean(each.fix)) for each in diagnostics)


def clean(text: str) -> str:
    """Mask secrets and control characters in `text`, parts of which come from files and servers."""
    return printable(redact(without_passwords(text)))


def failed(diagnostics: tuple[Diagnostic, ...]) -> bool:
    return any(diagnostic.level == "fail" for diagnostic in diagnostics)


def _versions(results: ProbeResults) -> Iterator[Diagnostic]:
    python = ".".join(map(str, results.python))
    if fits_python(results.python):
        yield ok("python", f"Python {python}")
    else:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        yield fail(
            "python-unsupported",
            f"Python {python} is too old",
            f"install NeuroLink with Python {oldest} or newer",
        )
    if results.mitmproxy is None:
        yield fail(
            "mitmproxy-missing", "mitmproxy is not installed", f"pip install '{REQUIREMENT}'"
        )
    elif fits_mitmproxy(results.mitmproxy) and (missed := aging(results.mitmproxy)):
        yield warn("mitmproxy-old", missed, "pipx reinstall --python python3.13 neurolink-mitm")
    elif fits_mitmproxy(results.mitmproxy):
        yield ok("mitmproxy", f"mitmproxy {results.mitmproxy}")
    else:
        yield fail(
            "mitmproxy-unsupported",
            f"mitmproxy {results.mitmproxy} is not one that NeuroLink runs on",
            f"pip install '{REQUIREMENT}'",
        )


def _home(results: ProbeResults) -> Iterator[Diagnostic]:
    home = results.home
    if home is None:
        yield fail(
            "home-unset",
            "neither NEUROLINK_HOME nor HOME is set",
            "export NEUROLINK_HOME=/path/to/a/directory",
        )
    elif home.fault:
        yield fail(
            "home-unusable",
            f"{home.path}: {home.fault}",
            "make it a directory of yours, or let NEUROLINK_HOME name another",
        )
    elif home.mode is None:
        yield ok("home", f"{home.path} will be made at the first login or start")
    elif home.mode & OTHERS:
        yield warn(
            "home-open",
            f"{home.path} is open to others (mode {home.mode:04o})",
            f"chmod 700 {home.path}",
        )
    else:
        yield ok("home", f"{home.path}, mode {home.mode:04o}")


def _files(results: ProbeResults) -> Iterator[Diagnostic]:
    """Files of secrets and state have to be readable, and 0600."""
    faulty = [place for place in results.files if place.fault]
    open_ = [place for place in results.files if place.mode is not None and place.mode & OTHERS]
    for place in faulty:
        fix = "repair it, or move it away: what it held is then made anew or asked for again"
        if "the original NeuroLink's, which runs" in str(place.fault):
            fix = "end that program"
        yield fail("file-broken", f"{place.path}: {place.fault}", fix)
    for place in open_:
        yield _open_file(place)
    count = sum(place.mode is not None for place in results.files)
    if not faulty and not open_ and count:
        yield ok("files", f"{count} state files, readable by you only")


def _open_file(place: FileProbe) -> Diagnostic:
    return warn(
        "file-open",
        f"{place.path} is open to others (mode {place.mode:04o})",
        f"chmod 600 {place.path}",
    )


def _disk(results: ProbeResults) -> Iterator[Diagnostic]:
    free = results.disk_free
    if free is None:
        return
    text = f"{free / 1e6:.0f} MB are free for state and logs"
    fix = "make room, or lower logging.max-size-mb in the configuration"
    if free < DISK_FULL:
        yield fail("disk-full", f"only {text}: new tokens can't be kept", fix)
    elif free < DISK_LOW:
        yield warn("disk-low", f"only {text}", fix)
    else:
        yield ok("disk", text)


def _leftovers(results: ProbeResults) -> Iterator[Diagnostic]:
    for name in results.leftovers:
        if ".corrupt-" in name:
            yield warn(
                "leftover-corrupt",
                f"{name} was set aside because it could not be parsed",
                "look whether you need what is in it, then delete it",
            )
        else:
            yield warn(
                "leftover-temporary",
                f"{name} was left by a process that was killed while it wrote",
                "delete it",
            )
    proxy = results.proxy
    if proxy and proxy.pid is not None and not proxy.alive:
        yield warn(
            "leftover-state",
            f"proxy-state.json names process {proxy.pid}, which has ended without cleaning up",
            "neurolink proxy start: it takes the file over",
        )


def _config(config: ConfigProbe | None) -> Iterator[Diagnostic]:
    if config is None:
        return
    for fault in config.faults:
        yield fail("config-fault", f"configuration: {fault}", f"edit {config.path}")
    for warning in config.warnings:
        yield warn("config-warning", f"configuration: {warning}", f"edit {config.path}")
    if not config.faults and not config.warnings:
        yield ok("config", f"{config.path}" + ("" if config.present else ": none, so all defaults"))


def _accounts(results: ProbeResults) -> Iterator[Diagnostic]:
    accounts = results.accounts
    if accounts is None:
        return
    served = (
        results.proxy.status["stats"]["accounts"] if results.proxy and results.proxy.status else ()
    )
    if not accounts and served:
        yield warn(
            "accounts-sandbox",
            f"no account of yours; the running proxy serves {len(served)} made-up ones (the sandbox)",
            LOGIN,
        )
        return
    if not accounts:
        yield fail("accounts-none", "there is no account that requests could be sent on", LOGIN)
        return
    troubles = [trouble for account in accounts if (trouble := _account(account, results.now))]
    usable = [account for account in accounts if _usable(account, results.now)]
    yield from troubles
    if not usable:
        yield fail(
            "accounts-unusable", f"none of the {len(accounts)} accounts can serve a request", LOGIN
        )
    elif not troubles:
        yield ok("accounts", f"{len(accounts)} in the pool: {', '.join(a.label for a in accounts)}")


def _other_tools(text: str | None) -> Iterator[Diagnostic]:
    """Whoever uses Claude Code only misses nothing."""
    if text:
        yield ok("other-tools", text)


def _notices(probe: NoticesProbe | None, proxy: ProxyProbe | None) -> Iterator[Diagnostic]:
    """They are off by default."""
    if probe is None or not probe.channels:
        return
    report = proxy.status.get("notices") if proxy and proxy.status else None
    if not probe.desktop:
        yield warn(
            "notices-no-desktop",
            "notify.desktop is on, but there is no desktop: neither notify-send nor a session bus with gdbus",
            "install notify-send (libnotify), or use notify.webhook or notify.command",
        )
    if report and report["failed"]:
        yield warn(
            "notices-failed",
            f"{report['failed']} notices were not delivered, the last by {report['lastError']}",
            "neurolink notify test",
        )
    elif probe.desktop:
        yield ok("notices", f"notices by {', '.join(probe.channels)}")


def _account(account: Account, now: float) -> Diagnostic | None:
    label = shlex.quote(account.label)
    login = f"{LOGIN} --label {label}"
    if _needs_login(account, now):
        why = (account.disabled or "").removeprefix(NEEDS_LOGIN).lstrip(": ")
        why = why or "its token has expired and can't be refreshed"
        return warn("account-needs-login", f"account {account.label} needs a login: {why}", login)
    if account.disabled:
        return warn(
            "account-disabled",
            f"account {account.label} is disabled: {account.disabled}",
            f"neurolink auth enable {label}, or log in again: {login}",
        )
    if not account.enabled:
        return warn(
            "account-off",
            f"account {account.label} has enabled: false in the configuration",
            "set it to true, or remove the account",
        )
    if account.paused and not account.paused.over(now):
        return warn(
            "account-paused",
            f"account {account.label} is {in_local_time(account.paused.text, now)}",
            f"neurolink auth resume {label}",
        )
    if account.expires_at is not None and not account.refreshable:
        left = account.expires_at - now
        if left < SOON:
            return warn(
                "account-expiring",
                f"account {account.label}: its token ends in {left / 3600:.0f} h and can't be refreshed",
                login,
            )
    return None


def _unwritten(results: ProbeResults) -> Iterator[Diagnostic]:
    """Tokens that only the running proxy's memory holds."""
    status = results.proxy.status if results.proxy else None
    for account in status["stats"]["accounts"] if status else ():
        if why := account.get("unwritten"):
            yield fail(
                "tokens-unwritten",
                f"account {account['label']}: its new tokens are not on disk, and lost when the"
                f" proxy ends: {why}",
                "make that file writable now; it is written again every few seconds",
            )


def _needs_login(account: Account, now: float) -> bool:
    expired = account.expires_at is not None and account.expires_at <= now
    refused = account.disabled is not None and account.disabled.startswith(NEEDS_LOGIN)
    return refused or (expired and not account.refreshable)


def _usable(account: Account, now: float) -> bool:
    paused = account.paused and not account.paused.over(now)
    return (
        account.enabled and not account.disabled and not paused and not _needs_login(account, now)
    )


def _clock(results: ProbeResults) -> Iterator[Diagnostic]:
    if results.skew is None:
        return
    if abs(results.skew) <= SKEW:
        yield ok("clock", "the clock is right")
        return
    side = "ahead of" if results.skew > 0 else "behind"
    yield warn(
        "clock-skew",
        f"the clock is {abs(results.skew):.0f} s {side} upstream's: tokens and cooldowns end at wrong times",
        "set the clock: sudo timedatectl set-ntp true (macOS: sudo sntp -sS time.apple.com)",
    )


def _service(service: ServiceProbe | None) -> Iterator[Diagnostic]:
    if service is None or not service.installed:
        return
    if service.running is False:
        yield warn(
            "service-stopped",
            f"the service {service.path} is installed, but does not run",
            "neurolink proxy install, and look at its log",
        )
    else:
        runs = "runs" if service.running else "is installed"
        yield ok("service", f"the service {service.path} {runs}")


def _guard(proxy: ProxyProbe | None) -> Iterator[Diagnostic]:
    if proxy is None or proxy.guard_pid is None:
        return
    if proxy.alive and not proxy.guard_alive:
        yield warn(
            "guard-dead",
            f"the guard (pid {proxy.guard_pid}) is gone: if the proxy is killed, Claude Code's"
            " settings go on pointing at it",
            "neurolink proxy stop, then neurolink proxy start",
        )
    elif proxy.guard_alive:
        yield ok("guard", f"the guard runs (pid {proxy.guard_pid})")


def _loop(proxy: ProxyProbe | None) -> Iterator[Diagnostic]:
    if proxy and proxy.status:
        yield from lag.diagnose_lag(proxy.status.get("loop"))


def _unchecked(results: ProbeResults) -> Iterator[Diagnostic]:
    for name, why in results.unchecked.items():
        yield warn("unchecked", f"{name} could not be checked: {why}", "try again")
