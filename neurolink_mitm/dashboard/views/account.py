"""What a page offers to do with an account, and why not."""

from __future__ import annotations

from collections.abc import Mapping

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.dashboard.site import Site

ELSEWHERE: Mapping[str, str] = {
    "config": "its key stands in the configuration file",
    "environment": "its key comes from ANTHROPIC_API_KEY",
}
"""Why an account that is not stored can't be changed here, by its source."""
SOURCES: Mapping[str, str] = {
    "store": "stored here",
    "config": "the configuration",
    "legacy": "anthropic-credentials.json",
    "environment": "ANTHROPIC_API_KEY",
}
"""Where an account comes from, by its source."""
STORED_ONLY = ("enable", "disable", "remove", "refresh", "again")
"""Actions that change what is stored."""
ALL = ("pause", "order", "primary", "reset", *STORED_ONLY)
SANDBOX = "the proxy serves the sandbox's accounts"


def why_not(action: str, account: Account, site: Site) -> str | None:
    """Return why an action is not offered for an account; None if it is."""
    if not site.serves_home and action not in ("pause", "reset"):
        return SANDBOX
    if action in STORED_ONLY and account.source in ELSEWHERE:
        return ELSEWHERE[account.source]
    if action in ("enable", "disable") and account.source == "legacy":
        return "it stands in anthropic-credentials.json"
    if action == "refresh" and not account.refreshable:
        return "it has nothing to refresh: it is an API key or a long-lived token"
    if action == "primary" and account.source not in ("store", "config"):
        return "only stored and configured accounts can go first by name"
    return None


def source_of(account: Account, site: Site) -> str:
    """Return where an account comes from, in words."""
    return SOURCES[account.source] if site.serves_home else "the sandbox"


def refusals_of(account: Account, site: Site) -> Mapping[str, str]:
    """Return the actions that are not offered for an account, and why."""
    reasons = ((action, why_not(action, account, site)) for action in ALL)
    return {action: reason for action, reason in reasons if reason}
