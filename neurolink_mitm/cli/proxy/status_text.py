"""The report of `/status` as `neurolink proxy status` shows it.

A field that the report lacks, as it comes from an older or newer proxy, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from neurolink_mitm.cli.cluster.status_text import cluster_lines
from neurolink_mitm.cli.proxy.accounts_text import accounts_table, brief_accounts
from neurolink_mitm.cli.proxy.explain_text import explain_view
from neurolink_mitm.cli.proxy.requests_text import in_flight_line, in_flight_table
from neurolink_mitm.cli.ui.tables import duration
from neurolink_mitm.cli.ui.terminal import counted
from neurolink_mitm.cli.ui.windows import windows_table
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.reset_times import reset_time, zoned_time
from neurolink_mitm.core.logs.timestamps import local_time, seconds
from neurolink_mitm.core.status.diagnostic import SKEW, Diagnostic

Report = Mapping[str, Any]

GOOD, BUSY, BAD = "green", "yellow", "red"


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a report is shown: by default what `proxy status` prints once."""

    requests: int = 0
    """Requests in flight that are listed at most."""
    windows: bool = True
    """All windows of each account, in a table; else the tightest one, beside its account."""
    accounts: int | None = None
    """Accounts that are listed at most; None: all."""
    errors: bool = True
    """The last error of each account."""
    brief: bool = False
    """One line of the proxy itself, and nothing but accounts, requests and forecasts."""
    selected: str | None = None
    """The key of the account that is marked."""


def view(report: Report, now: float, detail: Detail = Detail()) -> RenderableType:
    """Return the explanation, if the report has one, else the whole report."""
    return explain_view(report, now) if "explain" in report else status_view(report, now, detail)


def status_view(report: Report, now: float, detail: Detail = Detail()) -> RenderableType:
    """Return the whole report. Times are counted from the proxy's clock, where it says what that is."""
    accounts = report["stats"]["accounts"]
    now = seconds(report["now"]) if "now" in report else now
    return Group(
        *([_brief_head(report)] if detail.brief else _about_proxy(report, accounts)),
        *cluster_lines(report.get("cluster"), now),
        *_forecast_lines(report["stats"].get("forecast"), now),
        *_accounts(accounts, now, detail),
        *in_flight_line(report, now),
        *(in_flight_table(report, now, detail.requests) if detail.requests else ()),
        *(
            ()
            if detail.brief
            else (
                *_other_providers(report),
                *_spend(report.get("spend"), everywhere=bool(report.get("cluster"))),
            )
        ),
        *(_errors(accounts) if detail.errors else ()),
    )


def _about_proxy(report: Report, accounts: Sequence[Report]) -> Iterable[Text]:
    yield _head(report)
    if dashboard := report.get("dashboard"):
        yield Text(f"dashboard: {dashboard['url']} (opened by `neurolink dashboard`)")
    yield from _other_lines(report)
    yield from _loop_lines(report.get("loop"))
    yield from _claude_code_lines(report.get("claudeCode"))
    yield from _warnings(report, accounts)


def _forecast_lines(forecast: Report | None, now: float) -> Iterable[Text]:
    """Yield when the pool has no headroom, and when it has none for a family of models only."""
    if not forecast:
        return
    whole = _dry(forecast, now)
    if whole:
        yield Text(f"pool: {whole}", style=BUSY)
    for models, each in (forecast.get("models") or {}).items():
        of_models = _dry(each, now)
        if of_models and each["dryFrom"] != forecast["dryFrom"]:
            yield Text(f"pool for {printable(models.strip('*'))}: {of_models}", style=BUSY)


def _dry(forecast: Report, now: float) -> str:
    """Return `dry from 17:05 CET (in 25m) to 18:00 CET at the pace of the last hour`; empty where it is not."""
    if not forecast["dryFrom"]:
        return ""
    start, end = seconds(forecast["dryFrom"]), forecast["dryTo"] and seconds(forecast["dryTo"])
    if start <= now:
        return f"dry until {reset_time(end, now)}" if end else "dry"
    to = f" to {zoned_time(end, now)}" if end else ""
    return f"dry from {reset_time(start, now)}{to} at the pace of the last hour"


def _accounts(accounts: Sequence[Report], now: float, detail: Detail) -> Iterable[RenderableType]:
    if not accounts:
        yield Text("no accounts")
    elif detail.windows:
        yield accounts_table(accounts, now, detail.selected)
        yield from windows_table(accounts, now)
    else:
        yield from brief_accounts(accounts, now, detail.accounts, detail.selected)


def _head(report: Report) -> Text:
    stats = report["stats"]
    return Text(
        f"NeuroLink {report['version']} on {report['url']}"
        f" (pid {report['pid']}, {report['strategy']}, up {duration(report['uptime'])}{_loop_lag(report)})\n"
        f"{counted(stats['totalRequests'], 'request')}: {stats['totalSuccess']} answered,"
        f" {stats['totalErrors']} failed; {counted(stats['totalAttempts'], 'attempt')} upstream,"
        f" {stats['totalRateLimits']} rate-limited"
    )


def _brief_head(report: Report) -> Text:
    return Text(f"NeuroLink on {report['url']}")


def _loop_lag(report: Report) -> str:
    """Return the lag of the event loop in the last minute, 99th percentile; empty where there was none."""
    lag = (report.get("loop") or {}).get("lagMs")
    return f", lag {lag['p99']:g} ms" if lag and lag["max"] else ""


def _other_lines(report: Report) -> Iterable[Text]:
    """Yield a line for each other proxy of this home."""
    for each in report.get("proxies") or ():
        if each["pid"] != report["pid"]:
            program = f"{each['program']}, " if each["program"] != "neurolink" else ""
            yield Text(
                f"another one runs on {each['url']} ({program}pid {each['pid']}):"
                " --port shows it, or stops it",
                style=BUSY,
            )


def _loop_lines(loop: Report | None) -> Iterable[Text]:
    """Yield when the event loop, and with it all streams, or the whole process last stood still."""
    if not loop:
        return
    if last := loop.get("lastStall"):
        where = f" at {printable(last['stack'][0])}" if last["stack"] else ""
        stood = f"stood still {counted(loop['stalls'], 'time')}, last at {local_time(last['at'])}"
        yield Text(f"loop: {stood} for {last['ms']} ms{where}", style=BUSY)
    if last := loop.get("lastPause"):
        stood = f"did not run for {duration(last['ms'] / 1000)} until {local_time(last['at'])}"
        yield Text(f"the process {stood}: stopped, or asleep", style=BUSY)


def _claude_code_lines(attached: Report | None) -> Iterable[Text]:
    """Yield when Claude Code was detached from the proxy, and why."""
    if not attached:
        return
    for outage in attached.get("outages") or ():
        span = f"{local_time(outage['since'])} to {local_time(outage['until'])}"
        yield Text(f"Claude Code: detached {span} because {outage['why']}", style=BUSY)
    if away := attached.get("detached"):
        since = f"detached since {local_time(away['since'])} because {away['why']}"
        yield Text(f"Claude Code: {since}; it comes back when that answers", style=BUSY)


def _warnings(report: Report, accounts: Sequence[Report]) -> Iterable[Text]:
    for line in report["config"]["errors"]:
        yield Text(f"configuration: {printable(line)}", style=BAD)
    for account in accounts:
        if why := account.get("unwritten"):
            text = f"{account['label']}: ITS NEW TOKENS ARE NOT ON DISK: {printable(str(why))}"
            yield Text(text, style=f"bold {BAD}")
    skew = report.get("clockSkew")
    if isinstance(skew, int | float) and abs(skew) > SKEW:
        side = "ahead of" if skew > 0 else "behind"
        yield Text(f"clock: {abs(skew):.0f} s {side} upstream's", style=BUSY)


def _other_providers(report: Report) -> Iterable[Text]:
    for number, entry in enumerate(report.get("fallbackChain") or (), 1):
        usable = entry.get("usable", True)
        state = "ready" if usable else str(entry.get("reason") or "not usable")
        served = f", answered {entry['success']} times" if entry.get("success") else ""
        failed = f", last error {entry['lastError']}" if entry.get("lastError") else ""
        yield (
            Text(f"fallback {number}: {entry['provider']}/{entry['model']}: ")
            .append(printable(state), style=GOOD if usable else BAD)
            .append(printable(f"{served}{failed}"))
        )
    translator = report.get("translator")
    if translator and not _idle(translator):
        yield _translator(translator)


def _idle(translator: Report) -> bool:
    """Whether the translator is not needed: it runs only where the configuration names another provider."""
    return translator.get("state") == "stopped" and not translator.get("lastError")


def _translator(translator: Report) -> Text:
    state = str(translator.get("state"))
    style = {"ready": GOOD, "starting": BUSY, "restarting": BUSY}.get(state, BAD)
    parts = (
        f"pid {translator['pid']}" if translator.get("pid") else "",
        f"port {translator['port']}" if translator.get("port") else "",
        f"{translator['rss'] / 1e6:.0f} MB" if translator.get("rss") else "",
        f"{translator['restarts']} restarts" if translator.get("restarts") else "",
        printable(str(translator["lastError"])) if translator.get("lastError") else "",
    )
    details = ", ".join(each for each in parts if each)
    text = Text("translator: ").append(state, style=style)
    return text.append(f" ({details})") if details else text


def _spend(spend: Report | None, *, everywhere: bool) -> Iterable[Text]:
    """Yield what was spent; `everywhere`: by all replicas, since midnight UTC."""
    if not spend or not (_cents(spend) or spend.get("capUsd") or _never(spend)):
        return
    text = f"pay-per-use: ${spend.get('todayUsd') or 0:.2f} today"
    text += " (UTC) by all replicas" * everywhere
    if spend.get("capUsd") is not None:
        text += f" of ${spend['capUsd']:.2f}, ${spend.get('leftUsd') or 0:.2f} left"
    if _never(spend):
        text += "; not allowed by the configuration"
    yield Text(text)


def _cents(spend: Report) -> int:
    return round((spend.get("todayUsd") or 0) * 100)


def _never(spend: Report) -> bool:
    return spend.get("payPerUse") == "never"


def _errors(accounts: Sequence[Report]) -> Iterable[Text]:
    """Yield the last error of each account, the newest first."""
    failed = [account for account in accounts if account.get("lastError")]
    failed.sort(key=lambda account: str(account.get("lastErrorAt")), reverse=True)
    for account in failed:
        at = local_time(account["lastErrorAt"]) if account.get("lastErrorAt") else ""
        yield Text(
            f"last error {at} {account['label']}: {printable(str(account['lastError']))}",
            style="dim",
        )


def down_view(why: str, left_over: Sequence[Diagnostic]) -> Text:
    """Return why no proxy runs, and what the last one left."""
    text = Text(f"{why}\n" if why else "")
    for diagnostic in left_over:
        text.append(f"{diagnostic.text}\n").append(f"  fix: {diagnostic.fix}\n", style="dim")
    text.rstrip()
    return text
