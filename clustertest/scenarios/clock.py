"""8. The clock of one replica is five minutes ahead, that of another behind: the same counts as with good clocks."""

from clustertest.figures import Figure, Scale
from clustertest.replicas import Pool
from clustertest.scenarios import limited, refresh
from clustertest.stage import stage

MINUTES = 5
AHEAD = (0.0, MINUTES * 60.0, -MINUTES * 60.0)
POOL = Pool(logins=dict.fromkeys("abcd", 36_000.0), routing={"strategy": "fill-first"})


async def run(scale: Scale) -> list[Figure]:
    async with stage(POOL, ahead=AHEAD) as running:
        figures = await refresh.after_a_401(running, scale)
        figures += await limited.act(running, scale)
        shown = (await running.replicas[0].status())["cluster"]["replicas"]
    skews = sorted(round(each["clockSkew"] or 0) for each in shown)
    wanted = sorted(map(round, AHEAD))
    return [
        *figures,
        Figure(
            "clocks that /status shows",
            ", ".join(f"{skew:+} s" for skew in skews),
            ", ".join(f"{skew:+} s" for skew in wanted),
            all(abs(a - b) <= 1 for a, b in zip(skews, wanted, strict=True)),
        ),
    ]
