"""The short form of `make cluster-test`: six of its scenarios, one after the other, on one stage.

Counts are as strict as in the long form. Times are not, since tests run beside this one: news of a 429 may take
`grace`, and p99 may grow by `added_ms` (`clustertest.figures.SHORT`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from clustertest.figures import SHORT, Figure
from clustertest.replicas import Pool
from clustertest.scenarios import cut_off, killed, limited, redis_gone, refresh, rolling
from clustertest.stage import Stage, stage

pytestmark = pytest.mark.real("redis", "haproxy")

POOL = Pool(logins=dict.fromkeys("abcde", 36_000.0), routing={"strategy": "round-robin"})

Act = Callable[[Stage], Awaitable[list[Figure]]]

ACTS: dict[str, Act] = {
    "3. a token expires": lambda on: refresh.after_a_401(on, SHORT),
    "1. an account is limited": lambda on: limited.act(on, SHORT),
    "5. Redis hangs, dies, comes back empty": lambda on: redis_gone.act(on, SHORT),
    "6. a replica is cut off from Redis": lambda on: cut_off.act(on, SHORT, account="c"),
    "7. a replica drains": lambda on: rolling.act(on, SHORT, replicas=1),
    "4. a replica is killed": lambda on: killed.act(on, SHORT),
    "3. the holder of a refresh is killed": lambda on: refresh.killed_while_it_waits(on, "d"),
}
"""What takes a replica away comes last, so that none has to be started again."""


@pytest.mark.timeout(180)
async def test_three_replicas_act_as_one_pool() -> None:
    unmet = []
    async with stage(POOL, relayed=True) as running:
        for name, act in ACTS.items():
            figures = await act(running)
            print(name, *(f"  {f.what}: {f.found} ({f.wanted})" for f in figures), sep="\n")
            unmet += [f"{name}: {f.what}: {f.found}, not {f.wanted}" for f in figures if not f.met]
    assert unmet == []
