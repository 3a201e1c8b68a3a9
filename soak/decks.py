"""How the accounts answer: from shuffled decks, so that every kind of failure comes up, at random times."""

from collections.abc import Callable
from dataclasses import fields, replace
from random import Random
from typing import Any

from neurolink_mitm.sandbox import Reply, Script

DECKS = 20
TEXT_STARTS = 4
"""The first text delta is the fourth event: message_start, ping, content_block_start, delta."""

_PLAIN = Reply()


def good(chance: Random) -> Reply:
    """Its text is the numbers of its deltas, so a lost or doubled one shows."""
    pause = chance.uniform(0.005, 0.06)
    return Reply(delay=chance.uniform(0, 0.2), events=chance.randint(8, 24), event_delay=pause)


def limited(chance: Random) -> Reply:
    return Reply(429, headers={"retry-after": str(chance.randint(1, 3))})


def cut_early(chance: Random) -> Reply:
    at = chance.randrange(TEXT_STARTS)
    return replace(good(chance), cut_after=at, reset=chance.random() < 0.3)


def cut_late(chance: Random) -> Reply:
    at = chance.randint(TEXT_STARTS + 1, 10)
    return replace(good(chance), cut_after=at, reset=chance.random() < 0.3)


def silent_early(chance: Random) -> Reply:
    return Reply(stall_after=chance.choice((0, "head")))


def silent_late(chance: Random) -> Reply:
    return replace(good(chance), stall_after=chance.choice((1, TEXT_STARTS + 2)))


def error_late(chance: Random) -> Reply:
    return replace(good(chance), error_after=chance.randint(TEXT_STARTS + 1, 10))


Card = Callable[[Random], Reply]

FAILURES: tuple[tuple[int, Card], ...] = (
    (2, limited),
    (5, lambda chance: Reply(529)),
    (4, lambda chance: Reply(500)),
    (2, lambda chance: Reply(hang_up=True)),
    (2, lambda chance: Reply(hang_up=True, reset=True)),
    (4, cut_early),
    (3, cut_late),
    (2, lambda chance: Reply(empty=True)),
    (2, lambda chance: Reply(error_first="overloaded_error")),
    (1, lambda chance: Reply(error_first="rate_limit_error")),
    (1, error_late),
    (1, lambda chance: replace(good(chance), no_stop=True)),
    (1, silent_early),
    (1, silent_late),
    (1, lambda chance: replace(good(chance), delay=3.0)),
)
"""How often in a hundred; the rest are good answers."""


def rough(seed: str) -> Script:
    """An account as it mostly is in the soak."""
    chance = Random(seed)
    cards: list[Card] = [card for count, card in FAILURES for _ in range(count)]
    cards += [good] * (100 - len(cards))
    replies = [card(chance) for _ in range(DECKS) for card in chance.sample(cards, k=100)]
    return Script(tuple(replies), loop=True)


def refused(seed: str) -> Script:
    """An account whose key is refused once, which benches it for longer than the soak lasts."""
    return Script((Reply(401), *rough(seed).steps), loop=True)


def as_json(script: Script) -> dict[str, Any]:
    """As `accounts_from_json` reads it: of each reply only what is not as usual."""
    names = [field.name for field in fields(Reply)]
    steps = [
        {n: getattr(reply, n) for n in names if getattr(reply, n) != getattr(_PLAIN, n)}
        for reply in script.steps
    ]
    return {"steps": steps, "loop": script.loop}
