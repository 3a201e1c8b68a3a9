"""How the parts of the proxy are, in words: a row each, with what to do where something is wrong."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import psutil

from neurolink_mitm.adapters.state_file import StateFile, process_start
from neurolink_mitm.adapters.system import disk_free
from neurolink_mitm.claude_code.settings import ClaudeSettings, Entry, SettingsError
from neurolink_mitm.core.status.diagnostic import DISK_FULL, DISK_LOW, SKEW
from neurolink_mitm.core.status.event_loop import diagnose_lag
from neurolink_mitm.dashboard.site import Report, Site
from neurolink_mitm.records.retention import entries

State = Literal["good", "warn", "bad", "idle"]
WORST: tuple[State, ...] = ("bad", "warn", "good", "idle")
FEW_LEFT = 0.9
"""Share of file descriptors in use from which on few are left."""


@dataclass(frozen=True, slots=True)
class Row:
    """One part: its state in a word, what there is to say, and what to do about it."""

    name: str
    word: str
    state: State
    text: str = ""
    fix: str = ""
    at: str | None = None
    """When that was."""


def parts(site: Site, report: Report) -> list[Row]:
    """Return the rows of what `/status` knows, and of Claude Code's settings, the worst first.

    Nothing in them changes by itself.
    """
    rows = [
        *_configuration(report["config"]),
        *_tokens(report["stats"]["accounts"]),
        *_journal(report["journal"]),
        *_loop(report["loop"]),
        _clock(report["clockSkew"]),
        _claude_code(site),
        _guard(site),
        _translator(report["translator"]),
        _notices(report["notices"]),
        _telemetry(report["telemetry"]),
        *_cluster(report["cluster"]),
    ]  # fmt: skip
    return sorted(rows, key=lambda row: WORST.index(row.state))


def _configuration(config: Mapping[str, Any]) -> Iterator[Row]:
    if not config["errors"]:
        text = config["path"] or "no file: all is as by default"
        yield Row("Configuration", "in force", "good", text, at=config["loadedAt"])
    for fault in config["errors"]:
        yield Row(
            "Configuration", "not taken over", "bad", fault,
            "The last good one is in force. Mend the file (neurolink config check), or undo the edit.",
        )  # fmt: skip


def _tokens(accounts: list[Mapping[str, Any]]) -> Iterator[Row]:
    faults = [(each["label"], each["unwritten"]) for each in accounts if each.get("unwritten")]
    for label, why in faults:
        yield Row(
            f"Tokens of {label}", "not on disk", "bad", why,
            "Make room on the disk, or make the token store writable, before the proxy stops: else the login is lost.",
        )  # fmt: skip
    if not faults:
        yield Row("Tokens", "on disk", "good")


def _journal(journal: Mapping[str, Any]) -> Iterator[Row]:
    lost = [
        f"{count:,} {what}"
        for count, what in (
            (journal["dropped"], "rows lost"),
            (journal["bodiesDropped"], "captured bodies lost"),
        )
        if count
    ]
    if not lost:
        yield Row("Logs", "written", "good")
        return
    text = ", ".join(lost) + (f": {journal['lastError']}" if journal["lastError"] else "")
    fix = (
        "Make room on the disk, or lower logging.max-size-mb. Requests go on; their rows are gone."
    )
    yield Row("Logs", "losing rows", "bad", text, fix)


def _loop(loop: Mapping[str, Any]) -> Iterator[Row]:
    last = loop["lastStall"]
    for each in diagnose_lag(loop):
        if each.level == "ok":
            text = (
                f"it never stood still for long; the longest wait was {loop['lagMs']['max']:.0f} ms"
            )
            yield Row("Event loop", "quick", "good", text)
        else:
            fix = "Hand on the support bundle below, with what was asked then."
            yield Row("Event loop", "stood still", "warn", each.text, fix, last and last["at"])


def _clock(skew: float | None) -> Row:
    if skew is None:
        return Row("Clock", "not compared yet", "idle", "It is compared at the next refresh of a token.")  # fmt: skip
    if abs(skew) <= SKEW:
        return Row("Clock", "right", "good")
    side = "ahead of" if skew > 0 else "behind"
    return Row(
        "Clock", "wrong", "warn",
        f"{abs(skew):.0f} s {side} upstream's: tokens and cooldowns end at wrong times",
        "Set the clock: sudo timedatectl set-ntp true (macOS: sudo sntp -sS time.apple.com)",
    )  # fmt: skip


def _claude_code(site: Site) -> Row:
    name = "Claude Code"
    try:
        entry: Entry | None = ClaudeSettings(site.home.claude_settings).entry(site.runtime.pid)
    except SettingsError as e:
        return Row(name, "not known", "warn", str(e), "neurolink proxy doctor says more.")
    if entry is None:
        return Row(
            name, "not attached", "idle", "Its settings do not point at this proxy.",
            "To attach it: neurolink proxy setup, or start the proxy without --no-claude-settings.",
        )  # fmt: skip
    if entry.away:
        fix = "It is attached again once the proxy answers its guard."
        return Row(name, "detached", "warn", entry.away.why, fix)
    return Row(name, "attached", "good", f"{entry.path} points at this proxy.")


def _guard(site: Site) -> Row:
    name = "Guard"
    states = StateFile(site.home.state).running()
    pid = next((each.guard_pid for each in states if each.pid == site.runtime.pid), None)
    if pid is None:
        return Row(name, "not needed", "idle", "Nothing of Claude Code's was changed by this proxy.")  # fmt: skip
    if process_start(pid) is None:
        return Row(
            name, "gone", "warn",
            "If the proxy is killed, Claude Code's settings go on pointing at it.",
            "neurolink proxy stop, then neurolink proxy start.",
        )  # fmt: skip
    return Row(name, "runs", "good", "It puts Claude Code's settings back if the proxy is killed.")


def _translator(report: Mapping[str, Any] | None) -> Row:
    name = "Translator"
    if report is None:
        return Row(name, "not needed", "idle", "No other provider is configured.")
    often = f"started again {report['restarts']} times" if report["restarts"] else ""
    error = report["lastError"] or ""
    if report["state"] == "ready":
        return Row(name, "ready", "good", often and f"{often}, the last time: {error}")
    fix = "See translator.log in the logs; other providers are not asked meanwhile."
    state: State = "warn" if report["state"] == "restarting" else "idle"
    return Row(name, report["state"], state, "; ".join(filter(None, (often, error))), fix if error else "")  # fmt: skip


def _notices(report: Mapping[str, Any] | None) -> Row:
    if report is None:
        return Row("Notices", "off", "idle", "notify.channels turns them on.")
    if report["failed"]:
        text = f"{report['failed']} could not be delivered: {report['lastError']}"
        return Row("Notices", "failing", "warn", text, "neurolink notify test tries each channel.")
    return Row("Notices", "on", "good", ", ".join(report["channels"]))


def _telemetry(report: Mapping[str, Any] | None) -> Row:
    if report is None:
        return Row("Telemetry", "off", "idle", "OTEL_EXPORTER_OTLP_ENDPOINT turns it on.")
    if report["dropped"]:
        text = f"{report['dropped']:,} lost: {report['lastError']}"
        fix = "Is the collector running? Requests don't wait for it."
        return Row("Telemetry", "losing", "warn", text, fix)
    return Row("Telemetry", "on", "good", str(report["endpoint"]))


def _cluster(report: Mapping[str, Any] | None) -> Iterator[Row]:
    name = "Replicas"
    if report is None:
        yield Row(name, "one process", "idle", "It shares its state with no other machine.")
        return
    redis, others = report["redis"], len(report["replicas"]) - 1
    if redis["state"] != "connected":
        yield Row(
            "Redis", "away", "bad",
            f"{redis['error'] or 'it has not answered yet'}; each replica goes on by what it knows",
            "Start Redis, or mend the way to it: what is unwritten is written then.",
            redis["since"],
        )  # fmt: skip
    for each in redis["failing"]:
        yield Row(
            f"Shared {each['kind']}", "not shared", "bad", each["reason"],
            "Redis is there but refuses this: does another program use its keys? Another namespace avoids that.",
        )  # fmt: skip
    differing = [each["name"] for each in report["replicas"] if each["differs"]]
    if differing:
        yield Row(
            name, "differ", "warn", f"{', '.join(differing)}: not as most are",
            "Give all of them the same version and the same configuration.",
        )  # fmt: skip
    else:
        word = "alone" if others < 1 else f"{others + 1} replicas"
        yield Row(name, word, "good" if others > 0 else "idle", f"namespace {report['namespace']}")


@dataclass(frozen=True, slots=True)
class Machine:
    """What the process uses of this machine; None where the system does not tell."""

    memory: int
    descriptors: int | None
    most_descriptors: int | None
    connections: int | None
    disk: int | None
    logs: int
    browsers: int
    versions: Mapping[str, str]

    @property
    def few_descriptors(self) -> bool:
        used, most = self.descriptors, self.most_descriptors
        return bool(used and most and used >= most * FEW_LEFT)

    @property
    def disk_state(self) -> State:
        if self.disk is None:
            return "idle"
        return "bad" if self.disk < DISK_FULL else "warn" if self.disk < DISK_LOW else "good"


def machine(site: Site) -> Machine:
    process = psutil.Process()
    descriptors = connections = None
    with suppress(psutil.Error, OSError, AttributeError):
        descriptors = process.num_fds()
    with suppress(psutil.Error, OSError):
        open_ones = process.net_connections("tcp")
        connections = sum(each.status == psutil.CONN_ESTABLISHED for each in open_ones)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return Machine(
        memory=process.memory_info().rss,
        descriptors=descriptors,
        most_descriptors=None if most == resource.RLIM_INFINITY else most,
        connections=connections,
        disk=disk_free(site.home.root),
        logs=sum(each.size for each in entries(site.home.logs)),
        browsers=site.browsers(),
        versions=_versions(),
    )


def _versions() -> Mapping[str, str]:
    versions = {"Python": platform.python_version()}
    for name in ("mitmproxy", "litellm"):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
