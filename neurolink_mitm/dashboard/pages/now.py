from __future__ import annotations

from neurolink_mitm.adapters.own_address import caller_url, tls_state
from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError
from neurolink_mitm.core.logs.rows import RequestRow
from neurolink_mitm.dashboard.page import Context, Page, Part, View
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.views.live_requests import lines
from neurolink_mitm.dashboard.views.pool import outlook, pool, pool_mark


def live_requests(view: View) -> Context:
    report, site = view.in_flight, view.site
    listed = lines(report, site.rates.of(report["requests"], site.now()))
    return {
        "lines": listed,
        "in_flight": report["requestsInFlight"],
        "held": report["requestsHeld"],
        "more": report["requestsInFlight"] - len(listed),
        "url": _url(site),
        "attached": is_attached(site),
        "by_key": any(each.type == "api_key" for each in site.runtime.pool.accounts),
        "needs_key": bool(site.runtime.client_keys),
    }


def _url(site: Site) -> str:
    """Return the address of the proxy, for who wants to ask it something."""
    runtime = site.runtime
    tls = tls_state(runtime.certificate, runtime.host, runtime.config.listen.hosts)
    return caller_url(runtime.host, runtime.port, tls)


def is_attached(site: Site) -> bool:
    """Whether Claude Code's settings point at this proxy."""
    try:
        entry = ClaudeSettings(site.home.claude_settings).entry(site.runtime.pid)
    except SettingsError:
        return False
    return entry is not None and not entry.away


def recent_requests(view: View) -> Context:
    return {"rows": view.site.runtime.recent.newest, "tokens_in": tokens_in}


def tokens_in(row: RequestRow) -> int | None:
    """Return the tokens that were sent, cached or not; None where the response has none."""
    counts = (row.inputTokens, row.cacheCreationTokens, row.cacheReadTokens)
    return None if counts == (None,) * 3 else sum(each or 0 for each in counts)


PAGE = Page(
    "now",
    "Now",
    (
        Part("outlook", outlook, live=True, mark=pool_mark),
        Part("live-requests", live_requests, live=True),
        Part("pool", pool, live=True, mark=pool_mark),
        Part("recent-requests", recent_requests, live=True),
    ),
    styles=("now.css",),
    scripts=("now.js",),
)
