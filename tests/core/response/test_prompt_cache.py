from __future__ import annotations

import pytest

from neurolink_mitm.core.response.prompt_cache import LONG, SHORT, Conversation, PromptCaches
from neurolink_mitm.core.response.usage import TokenUsage
from tests.fakes import NOW

ONE: Conversation = ("s", None, "claude-opus-4-6")


def usage(written: int | None, read: int | None, hour: int | None = None) -> TokenUsage:
    return TokenUsage(
        cache_creation_tokens=written, cache_read_tokens=read, cache_creation_1h_tokens=hour
    )


def moved(*served: tuple[str, TokenUsage, float]) -> int | None:
    """What the last of these requests of one conversation wrote again."""
    caches, again = PromptCaches(), None
    for account, tokens, seconds in served:
        again = caches.served(ONE, account, tokens, NOW + seconds)
    return again


@pytest.mark.parametrize(
    ("before", "after", "again"),
    [
        (usage(1000, 0), usage(1200, 0), 1000),
        (usage(100, 900), usage(1200, 0), 1000),
        (usage(1000, 0), usage(300, 0), 300),
        (usage(1000, 0), usage(900, 300), 700),
        (usage(1000, 0), usage(50, 1000), 0),
        (usage(1000, 0), usage(0, 1100), 0),
        (usage(1000, 0), usage(None, None), None),
        (usage(0, 0), usage(1000, 0), None),
        (usage(-5, 10**18), usage(10, -1), 10),
    ],
    ids=["all", "had-read", "shorter-now", "part-was-read", "only-new", "shared", "uncached",
         "was-uncached", "hostile"],
)  # fmt: skip
def test_what_a_move_costs(before: TokenUsage, after: TokenUsage, again: int | None) -> None:
    assert moved(("a", before, 0), ("b", after, 60)) == again


def test_who_stays_pays_nothing() -> None:
    assert moved(("a", usage(1000, 0), 0)) is None
    assert moved(("a", usage(1000, 0), 0), ("a", usage(1000, 0), 60)) is None


def test_the_way_back_costs_what_has_come_since() -> None:
    """The old account still has what it had: only the rest is written there again, and what is new."""
    first, away = ("a", usage(1000, 0), 0), ("b", usage(1200, 0), 60)
    assert moved(first, away, ("a", usage(300, 1000), 120)) == 200


@pytest.mark.parametrize(
    ("hour", "seconds", "again"),
    [
        (None, SHORT - 1, 1000),
        (None, SHORT, None),
        (1000, SHORT, 1000),
        (1000, LONG, None),
        (400, SHORT, None),
    ],
    ids=["kept", "expired", "hour", "hour-expired", "part-for-an-hour"],
)
def test_a_cache_that_has_expired_is_no_loss(
    hour: int | None, seconds: float, again: int | None
) -> None:
    assert moved(("a", usage(1000, 0, hour), 0), ("b", usage(1000, 0), seconds)) == again


def test_each_use_prolongs_it() -> None:
    used = [("a", usage(1000, 0), 0), ("a", usage(0, 1000), SHORT - 1)]
    assert moved(*used, ("b", usage(1000, 0), 2 * SHORT - 2)) == 1000


def test_what_is_only_read_keeps_its_hour() -> None:
    hour = [("a", usage(1000, 0, 1000), 0), ("a", usage(0, 1000), 600)]
    assert moved(*hour, ("b", usage(1000, 0), 4199)) == 1000


def test_what_uses_no_cache_leaves_it_where_it_is() -> None:
    """A title, say, that the same model makes for the session elsewhere."""
    small = ("b", usage(0, 0), 30)
    assert moved(("a", usage(1000, 0), 0), small, ("b", usage(1000, 0), 60)) == 1000


def test_agents_and_models_have_their_own() -> None:
    caches = PromptCaches()
    caches.served(ONE, "a", usage(1000, 0), NOW)
    for other in (("s", "agent", ONE[2]), ("s", None, "claude-haiku-4-5"), ("t", None, ONE[2])):
        assert caches.served(other, "b", usage(1000, 0), NOW) is None


def test_it_is_bounded() -> None:
    caches = PromptCaches(capacity=2)
    for session in "stsu":
        caches.served((session, None, None), "a", usage(10, 0), NOW)
    again = [caches.served((each, None, None), "b", usage(10, 0), NOW) for each in "st"]
    assert again == [10, None]
