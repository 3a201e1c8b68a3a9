"""The result of a replay: numbers as JSON values, the best of each, and what the estimate assumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neurolink_mitm.core.redact.text import redact, short
from neurolink_mitm.records.recording import Recording
from neurolink_mitm.records.replay import Outcome
from neurolink_mitm.records.replay_pool import Setting, accounts_of

NAMED = 10
"""Accounts that an assumption names at most."""
NUMBERS = ("rateLimits", "failovers", "refused", "paidUsd", "listUsd", "movedCacheTokens")
"""What is compared: of each the least is best."""


def outcome_report(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome as JSON values, the account with most requests first."""
    return {
        "requests": outcome.requests,
        "rateLimits": outcome.rate_limits,
        "failovers": outcome.failovers,
        "refused": outcome.refused,
        "paidUsd": round(outcome.paid, 6),
        "listUsd": round(outcome.listed, 6),
        "unpriced": outcome.unpriced,
        "movedCacheTokens": outcome.moved,
        "served": {redact(short(label)): n for label, n in outcome.served.most_common()},
    }


def best(reports: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the strategies with the least of each number, where not all have the same.

    The list price says nothing: it falls where requests are refused.
    """
    winners = {}
    for name in NUMBERS:
        values = {strategy: each[name] for strategy, each in reports.items()}
        least = min(values.values(), default=0)
        if name != "listUsd" and any(value != least for value in values.values()):
            winners[name] = [strategy for strategy, value in values.items() if value == least]
    return winners


def assumptions(recording: Recording, setting: Setting) -> Iterator[str]:
    """Yield what the estimate assumes, and what it leaves out, in sentences."""
    yield (
        "An account is limited from a recorded 429 on for as long as its answer said, until it is recorded to have"
        " served again. Limits that nobody met are not known."
    )
    if asked := _never_asked(recording, setting):
        yield f"Never asked in this time, so taken as never limited: {_listed(asked)}."
    if setting.accounts and (gone := _gone(recording, setting)):
        yield f"Asked then and gone now, they serve as if they were there, after the others: {_listed(gone)}."
    yield "Windows are as full as was last recorded: what a strategy itself would have used of them does not count."
    yield "Users ask the same at the same times, also of a request that was refused; requests take no time."
    affinity = "on" if setting.affinity else "off"
    yield f"Accounts, priorities and caps are those of now, and session affinity is {affinity}; pauses don't count."
    yield (
        "Costs are those recorded, by the price list. Paid is what API keys and other providers answer; subscriptions"
        " cost nothing more. A request that was refused then has no cost."
    )
    yield (
        "A session that changes its account writes its prompt to the cache again, if the other one still had it: it is"
        " kept for five minutes or an hour. What that costs more is not in the dollars."
    )
    yield (
        "Subscriptions serve Claude Code only. What a request came from is not logged: one with a session, or that a"
        " subscription was asked for, counts as Claude Code's."
    )
    yield from _left_out(recording)


def _left_out(recording: Recording) -> Iterator[str]:
    if recording.elsewhere:
        yield (
            f"Left out: {recording.elsewhere} requests that other providers answered without any account being asked."
        )
    if recording.cut:
        yield f"Only the latest {len(recording.requests)} requests of this time are replayed."
    if recording.bad:
        yield f"Left out: {recording.bad} lines of the logs that are no rows."


def _never_asked(recording: Recording, setting: Setting) -> list[str]:
    accounts = accounts_of(recording, setting.accounts)
    return [account.label for account in accounts if account.label not in recording.types]


def _gone(recording: Recording, setting: Setting) -> list[str]:
    labels = {account.label for account in setting.accounts}
    return [label for label in recording.types if label not in labels]


def _listed(labels: Sequence[str]) -> str:
    names = [redact(short(label)) for label in labels]
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
