"""The scripts of the upstreams: shuffled replies, so that every kind of fault comes up at random times."""

from collections.abc import Callable
from dataclasses import fields, replace
from random import Random
from typing import Any

from neurolink_mitm.sandbox import Reply, Script
from soak.endings import MARK

ROUNDS = 20
"""Shuffled rounds of 100 replies in a script."""
TEXT_STARTS = 4
"""The number of the first text delta, after message_start, ping, content_block_start."""

_PLAIN = Reply()
_AFTERWARDS: tuple[tuple[int, dict[str, str]], ...] = (
    (80, {}),
    (8, {"connection": "close"}),
    (6, {MARK: "more than asked"}),
    (6, {MARK: "reset when idle"}),
)
"""What becomes of the connection after a good reply, in 100 of them."""


def good(random: Random) -> Reply:
    """Return a good reply; its text is the numbers of its deltas, so a lost or repeated one shows."""
    pause = random.uniform(0.005, 0.06)
    shares, headers = zip(*_AFTERWARDS, strict=True)
    return Reply(
        headers=random.choices(headers, shares)[0],
        delay=random.uniform(0, 0.2),
        events=random.randint(8, 24),
        event_delay=pause,
    )


def limited(random: Random) -> Reply:
    return Reply(429, headers={"retry-after": str(random.randint(1, 3))})


def cut_early(random: Random) -> Reply:
    at = random.randrange(TEXT_STARTS)
    return replace(good(random), cut_after=at, reset=random.random() < 0.3)


def cut_late(random: Random) -> Reply:
    at = random.randint(TEXT_STARTS + 1, 10)
    return replace(good(random), cut_after=at, reset=random.random() < 0.3)


def silent_early(random: Random) -> Reply:
    return Reply(stall_after=random.choice((0, "head")))


def silent_late(random: Random) -> Reply:
    return replace(good(random), stall_after=random.choice((1, TEXT_STARTS + 2)))


def error_late(random: Random) -> Reply:
    return replace(good(random), error_after=random.randint(TEXT_STARTS + 1, 10))


Fault = Callable[[Random], Reply]

FAULTS: tuple[tuple[int, Fault], ...] = (
    (2, limited),
    (5, lambda random: Reply(529)),
    (4, lambda random: Reply(500)),
    (2, lambda random: Reply(hang_up=True)),
    (2, lambda random: Reply(hang_up=True, reset=True)),
    (4, cut_early),
    (3, cut_late),
    (3, lambda random: replace(good(random), headers={MARK: "in its head"})),
    (2, lambda random: Reply(empty=True)),
    (2, lambda random: Reply(error_first="overloaded_error")),
    (1, lambda random: Reply(error_first="rate_limit_error")),
    (1, error_late),
    (1, lambda random: replace(good(random), no_stop=True)),
    (1, silent_early),
    (1, silent_late),
    (1, lambda random: replace(good(random), delay=3.0)),
)
"""Faults with their number in 100 replies; the others are good."""


def faulty(seed: str) -> Script:
    """Return a script of good replies and faults, shuffled by `seed`."""
    random = Random(seed)
    replies: list[Fault] = [fault for count, fault in FAULTS for _ in range(count)]
    replies += [good] * (100 - len(replies))
    steps = [reply(random) for _ in range(ROUNDS) for reply in random.sample(replies, k=100)]
    return Script(tuple(steps), loop=True)


def refused(seed: str) -> Script:
    """Return a script that refuses the key once: the cooldown lasts longer than the soak."""
    return Script((Reply(401), *faulty(seed).steps), loop=True)


def as_json(script: Script) -> dict[str, Any]:
    """Return a script for `accounts_from_json`, without default values."""
    names = [field.name for field in fields(Reply)]
    steps = [
        {n: getattr(reply, n) for n in names if getattr(reply, n) != getattr(_PLAIN, n)}
        for reply in script.steps
    ]
    return {"steps": steps, "loop": script.loop}
