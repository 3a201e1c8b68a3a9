"""8. The clock of one replica is five minutes ahead, that of another behind: the same counts as with good clocks."""

from clustertest.figures import Figure, Scale, at_least
from clustertest.replicas import Pool
from clustertest.scenarios import limited, refresh
from clustertest.stage import stage

MINUTES = 5
AHEAD = (0.0, MINUTES * 60.0, -MINUTES * 60.0)
POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "fill-first"})


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL, ahead=AHEAD) as running:
        figures = await limited.act(running, scale)
        figures += await refresh.after_a_401(running, scale)
        shown = await running.replicas[0].command("cluster", "status")
    return [
        *figures,
        at_least("replicas that `neurolink cluster status` shows", shown.count("5m"), 1),
    ]
