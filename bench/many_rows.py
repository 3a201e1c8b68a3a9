"""Writes a month of logs, and measures how long their sums take: `python -m bench.many_rows HOME`.

The logs are made unless HOME has some; `NEUROLINK_HOME=HOME` shows them to `neurolink stats` and the dashboard.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import msgspec

from neurolink_mitm.adapters.files import private_directory
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.records import rollup_files, rollup_reader
from neurolink_mitm.records.stats import BY, Stats
from neurolink_mitm.records.summing import days_between, sum_up

SEED = 20
MODELS = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5-20251001")
ACCOUNTS = ("work", "home", "team", "key-1")
CLIENTS = (None, "alice", "bob", "ci")
WHY = "took anthropic:{} by fill-first; skipped anthropic:alpha: cooling for 8 s: rate limit (429)"
DAY = 86400.0
HEX = "0123456789abcdef"


def write_logs(logs: Path, rows: int, days: int, end: float) -> None:
    """Write requests and their attempts over the last `days` days, most of them at daytime."""
    private_directory(logs)
    chance = random.Random(SEED)
    for back in range(days, 0, -1):
        start = (end // DAY - back + 1) * DAY
        length = min(DAY, end - start) if back == 1 else DAY
        times = sorted(_moment(chance) * length for _ in range(rows // days))
        name = iso(start)[:10]
        with (
            (logs / f"proxy-{name}.jsonl").open("wb") as requests,
            (logs / f"proxy-attempts-{name}.jsonl").open("wb") as attempts,
        ):
            for row, tries in _rows(chance, start, times):
                requests.write(msgspec.json.encode(row) + b"\n")
                attempts.writelines(msgspec.json.encode(each) + b"\n" for each in tries)


def _moment(chance: random.Random) -> float:
    return min(max(chance.gauss(0.6, 0.2), 0.0), 0.99999)


Row = dict[str, object]


def _rows(
    chance: random.Random, start: float, times: list[float]
) -> Iterator[tuple[Row, list[Row]]]:
    sessions = [_uuid(chance) for _ in range(12)]
    for number, at in enumerate(times):
        if chance.random() < 0.01:  # a session ends, another begins: some three hundred a day
            sessions[chance.randrange(len(sessions))] = _uuid(chance)
        yield _request(chance, start + at, number, chance.choice(sessions))


def _request(chance: random.Random, at: float, number: int, session: str) -> tuple[Row, list[Row]]:
    settled = random.Random(session)  # what does not change within a session
    client, account, model = (settled.choice(each) for each in (CLIENTS, ACCOUNTS, MODELS))
    agent = _uuid(settled) if chance.random() < 0.3 else None
    if chance.random() < 0.1:  # a title, a topic: the small model
        model = MODELS[-1]
    failed, first_byte = chance.random() < 0.02, round(chance.lognormvariate(6.7, 0.6), 1)
    request_id = f"req_nl_{number:020x}"
    tries = [_attempt(chance, at, request_id, 1 + n, account, first_byte)
             for n in range(1 + (chance.random() < 0.05))]  # fmt: skip
    row: Row = {
        "timestamp": iso(at), "requestId": request_id, "method": "POST", "path": "/v1/messages?beta=true",
        "model": model, "actualModel": model, "provider": "anthropic", "stream": True, "toolCount": 109,
        "account": account, "accountType": "oauth", "responseStatus": 429 if failed else 200,
        "responseTimeMs": round(first_byte * 5, 1), "ttfbMs": first_byte, "attempts": len(tries),
        "outcome": "error" if failed else "complete", "stopReason": "end_turn",
        "inputTokens": chance.randrange(2000), "outputTokens": chance.randrange(4000),
        "cacheCreationTokens": chance.randrange(5000), "cacheReadTokens": chance.randrange(150_000),
        "costUsd": round(chance.random() / 3, 6), "sessionId": session, "why": WHY.format(account),
        "traceId": f"{chance.getrandbits(128):032x}", "spanId": f"{chance.getrandbits(64):016x}",
        "cacheCreation1hTokens": 0, "webSearchRequests": None, "api": "anthropic", "client": client,
        "agentId": agent, "parentAgentId": None, "userId": None, "conversationId": None, "heldMs": 0.0,
        "movedCacheTokens": None,
    }  # fmt: skip
    return row, tries


def _attempt(
    chance: random.Random, at: float, request_id: str, number: int, account: str, wait: float
) -> Row:
    return {
        "timestamp": iso(at + 0.002), "requestId": request_id, "attempt": number, "account": account,
        "accountType": "oauth", "provider": "anthropic", "responseStatus": 200, "errorType": None,
        "durationMs": wait * 5, "cooldownMs": 0.0, "backoffLevel": 0, "retryAfter": None,
        "upstreamRequestId": f"req_{number:024x}", "utilization5h": 0.4, "utilization7d": 0.2, "replaced": 0,
        "endpoint": "messages", "connectMs": 0.0, "tlsMs": 0.0, "waitMs": wait, "reused": True,
    }  # fmt: skip


def _uuid(chance: random.Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    options = parser.parse_args()
    logs = options.home / "logs"
    if not logs.exists():
        began = time.perf_counter()
        write_logs(logs, options.rows, options.days, time.time())
        print(f"written: {time.perf_counter() - began:.1f} s")
    days = days_between(logs, None, None)
    began = time.perf_counter()
    for day in days:
        if rollup_files.is_stale(logs, day):
            rollup_files.refresh(logs, day)
    print(f"roll-ups of {len(days)} days: {time.perf_counter() - began:.2f} s, {_size(logs, days)}")
    for by in BY:
        began = time.perf_counter()
        stats = Stats(by)
        sum_up(logs, stats, None, None)
        took = (time.perf_counter() - began) * 1000
        print(
            f"stats by {by}: {took:.0f} ms, {stats.total().requests} requests, {len(stats.groups)} groups"
        )


def _size(logs: Path, days: list[date]) -> str:
    rows = sum(rollup_files.rows_of(logs, family, day).stat().st_size
               for family in rollup_files.FAMILIES for day in days)  # fmt: skip
    sums = sum(rollup_reader.path_of(logs, day).stat().st_size for day in days)
    return f"{rows / 1e6:.0f} MB of rows, {sums / 1e6:.1f} MB of sums"


if __name__ == "__main__":
    main()
