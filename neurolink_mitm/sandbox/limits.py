"""
The rate-limit headers that come with every answer of an account, good or bad.

API keys have the classic ones, subscriptions the `unified` ones that Claude Code reads.
https://docs.anthropic.com/en/api/rate-limits#response-headers
"""

from datetime import UTC, datetime

from neurolink_mitm.sandbox.accounts import Account

Headers = dict[str, str]

CLASSIC = {"requests": 1000, "tokens": 500_000, "input-tokens": 400_000, "output-tokens": 100_000}
WINDOWS = {"5h": 5 * 3600, "7d": 7 * 86400}


def rate_limit_headers(account: Account, limited: bool, now: float) -> Headers:
    """`now` in seconds since the epoch."""
    return _unified(limited, now) if account.kind == "oauth" else _classic(limited, now)


def _classic(limited: bool, now: float) -> Headers:
    reset = datetime.fromtimestamp(now + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {}
    for name, limit in CLASSIC.items():
        headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
        headers[f"anthropic-ratelimit-{name}-remaining"] = str(0 if limited else limit - 1)
        headers[f"anthropic-ratelimit-{name}-reset"] = reset
    return headers


def _unified(limited: bool, now: float) -> Headers:
    # windows start at fixed times, so that two answers name the same reset
    resets = {name: str(int(now // length + 1) * length) for name, length in WINDOWS.items()}
    headers = {
        "anthropic-ratelimit-unified-status": "rejected" if limited else "allowed",
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-fallback-percentage": "0.5",
        "anthropic-ratelimit-unified-overage-status": "rejected",
        "anthropic-ratelimit-unified-reset": resets["5h"],
    }
    for name, reset in resets.items():
        used_up = limited and name == "5h"
        headers[f"anthropic-ratelimit-unified-{name}-utilization"] = "1.0" if used_up else "0.12"
        headers[f"anthropic-ratelimit-unified-{name}-status"] = "rejected" if used_up else "allowed"
        headers[f"anthropic-ratelimit-unified-{name}-reset"] = reset
    return headers
