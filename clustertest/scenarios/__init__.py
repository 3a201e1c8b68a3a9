"""The nine scenarios, a module each: what happens, and how it is judged."""

from collections.abc import Callable, Coroutine
from typing import Any

from clustertest.figures import Figure, Scale
from clustertest.scenarios import (
    caps,
    clock,
    cost,
    cut_off,
    killed,
    limited,
    redis_gone,
    refresh,
    rolling,
)

Run = Callable[[Scale], Coroutine[Any, Any, list[Figure]]]

SCENARIOS: dict[int, tuple[str, Run]] = {
    1: ("An account is limited under load", limited.run),
    2: ("Limits and caps hold over all replicas", caps.run),
    3: ("A token expires under load", refresh.run),
    4: ("A replica is killed", killed.run),
    5: ("Redis hangs, dies, comes back empty", redis_gone.run),
    6: ("One replica is cut off from Redis", cut_off.run),
    7: ("A rolling restart with drain", rolling.run),
    8: ("Clocks are five minutes off", clock.run),
    9: ("A hundred thousand sessions", cost.run),
}
