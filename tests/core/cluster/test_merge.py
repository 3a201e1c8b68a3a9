from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.merge import (
    Content,
    Decision,
    Newer,
    Remote,
    Synced,
    agreed,
    canonical,
    decide,
    in_step,
    is_other_account,
    newest,
    newest_client,
    newest_login,
)

A, B, C = b'"a"', b'"b"', b'"c"'


def synced(content: Content, generation: int = 3) -> Synced:
    return in_step(Decision(content, generation, 10.0))


def decided(
    local: Content, remote: Remote | None, common: Synced | None, at: float = 20.0
) -> Decision | None:
    return decide(local, remote, common, at, newest)


CASES: dict[str, tuple[Content, Remote | None, Synced | None, Decision | None]] = {
    "never-there": (None, None, None, None),
    "new-here": (A, None, None, Decision(A, 1, 20.0, push=True)),
    "new-there": (None, Remote(4, 15, A), None, Decision(A, 4, 15, pull=True)),
    "in-step": (A, Remote(3, 10, A), synced(A), Decision(A, 3, 10)),
    "the-same-by-chance": (A, Remote(9, 15, A), synced(B), Decision(A, 9, 15)),
    "changed-here": (B, Remote(3, 10, A), synced(A), Decision(B, 4, 20, push=True)),
    "changed-there": (A, Remote(4, 15, B), synced(A), Decision(B, 4, 15, pull=True)),
    "removed-here": (None, Remote(3, 10, A), synced(A), Decision(None, 4, 20, push=True)),
    "removed-there": (A, Remote(4, 15, None), synced(A), Decision(None, 4, 15, pull=True)),
    "both-ours-later": (B, Remote(4, 15, C), synced(A), Decision(B, 5, 20, push=True)),
    "both-theirs-later": (B, Remote(4, 25, C), synced(A), Decision(C, 4, 25, pull=True)),
    "redis-empty": (A, None, synced(A), Decision(A, 3, 10, push=True)),
    "redis-empty-changed": (B, None, synced(A), Decision(B, 4, 20, push=True)),
    "redis-empty-removed": (None, None, synced(A), Decision(None, 4, 20, push=True)),
    "redis-empty-gone": (None, None, synced(None), Decision(None, 3, 10, push=True)),
    "redis-went-back": (A, Remote(2, 5, C), synced(A), Decision(A, 3, 10, push=True)),
    "another-branch": (A, Remote(3, 15, C), synced(A), Decision(C, 3, 15, pull=True)),
}


@pytest.mark.parametrize(("local", "remote", "common", "expected"), CASES.values(), ids=CASES)
def test_what_is_done(
    local: Content, remote: Remote | None, common: Synced | None, expected: Decision | None
) -> None:
    assert decided(local, remote, common) == expected


def entry(login: int = 1, token: str = "1", ends: int = 100, **fields: Any) -> bytes:
    tokens = {"accessToken": token, "expiresAt": ends * 1_000_000}
    made = {"tokens": tokens, "createdAt": 1, "lastAccessed": login * 1000, **fields}
    return canonical(msgspec.json.encode(made))


BY_HAND = {"at": 1, "reason": "by hand"}
REFUSED = {"at": 1, "reason": "needs login: invalid_grant"}
BASE = entry()
LOGINS: dict[str, tuple[Content, Content, Content]] = {
    "new-here-refreshed-there": (entry(2, "x"), entry(token="2"), entry(2, "x")),
    "refreshed-here-new-there": (entry(token="2", ends=999), entry(2, "x"), entry(2, "x")),
    "both-new-ours-later": (entry(2, "x"), entry(3, "y"), entry(2, "x")),
    "removed-here-refreshed-there": (None, entry(token="2"), None),
    "removed-here-new-there": (None, entry(2, "x"), entry(2, "x")),
    "refreshed-here-removed-there": (entry(token="2"), None, None),
    "new-here-removed-there": (entry(2, "x"), None, entry(2, "x")),
    "both-refreshed-ours-lasts": (entry(token="2", ends=300), entry(token="3", ends=200), entry(token="2", ends=300)),
    "both-refreshed-theirs-lasts": (entry(token="2", ends=200), entry(token="3", ends=300), entry(token="3", ends=300)),
    "refused-here-refreshed-there": (entry(disabled=REFUSED), entry(token="2"), entry(token="2")),
    "counted-here-refreshed-there": (entry(failures=3), entry(token="2"), entry(token="2")),
    "by-hand-here-refreshed-there": (entry(disabled=BY_HAND), entry(token="2"), entry(token="2", disabled=BY_HAND)),
    "refreshed-here-by-hand-there": (entry(token="2"), entry(disabled=BY_HAND), entry(token="2", disabled=BY_HAND)),
    "only-marks-ours-later": (entry(disabled=BY_HAND), entry(failures=1), entry(disabled=BY_HAND)),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "expected"), LOGINS.values(), ids=LOGINS)
def test_two_changes_of_a_login(ours: Content, theirs: Content, expected: Content) -> None:
    common = synced(BASE)
    assert newest_login(ours, Remote(4, 15.0, theirs), common, 20.0) == expected


FIRST: dict[str, tuple[bytes, Content, Content]] = {
    "ours-lasts-longer": (entry(ends=300), entry(ends=200, token="2"), entry(ends=300)),
    "an-old-copy": (entry(ends=100), entry(ends=200, token="2"), entry(ends=200, token="2")),
    "alike": (entry(token="1"), entry(token="2"), entry(token="2")),
    "marked-there": (entry(), entry(disabled=BY_HAND), entry(disabled=BY_HAND)),
    "removed-there-since": (entry(1), None, None),
    "made-after-the-removal": (entry(2000), None, entry(2000)),
}


@pytest.mark.parametrize(("ours", "theirs", "expected"), FIRST.values(), ids=FIRST)
def test_a_home_that_is_new_to_the_cluster(ours: bytes, theirs: Content, expected: Content) -> None:
    assert newest_login(ours, Remote(4, 1000.0, theirs), None, 2000.0) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "others"),
    [
        ({"type": "api_key", "token": "1"}, {"type": "api_key", "token": "2"}, True),
        ({"type": "api_key"}, {"type": "api_key"}, False),
        ({"type": "api_key"}, {"type": "oauth"}, True),
        ({"account": {"uuid": "1"}}, {"account": {"uuid": "2"}}, True),
        ({"account": {"uuid": "1"}}, {"account": {"uuid": "1"}, "token": "2"}, False),
        ({"account": {"uuid": "1"}}, {"account": {"uuid": None}}, False),
        ({"account": {"organizationUuid": 1}}, {"account": {"organizationUuid": 2}}, True),
        ({"account": "x"}, {"account": []}, False),
        ({"tokens": 7, "type": "api_key"}, {"tokens": None, "type": "api_key"}, False),
    ],
)  # fmt: skip
def test_two_logins_of_one_label_may_be_of_two_accounts(
    ours: dict[str, Any], theirs: dict[str, Any], others: bool
) -> None:
    assert is_other_account(entry(**ours), entry(**theirs)) is others
    assert not is_other_account(entry(**ours), None)


def test_a_home_that_has_missed_refreshes_does_not_undo_them() -> None:
    """It was alone with an empty Redis for a while, and has counted failures there."""
    ours, theirs = entry(token="9", ends=900), entry(token="1", ends=100, failures=9)
    remote = Remote(12, 15.0, theirs)
    done = decide(ours, remote, synced(ours, 9), 20.0, newest_login)
    assert done == Decision(ours, 13, 20.0, push=True)
    again = decide(theirs, Remote(13, 20.0, ours), synced(theirs, 12), 25.0, newest_login)
    assert again == Decision(ours, 13, 20.0, pull=True)


@pytest.mark.parametrize("rule", [newest_login, newest_client, newest, agreed])
@given(local=st.binary(max_size=30), theirs=st.none() | st.binary(max_size=30), at=st.floats())
def test_no_content_breaks_a_rule(rule: Newer, local: bytes, theirs: Content, at: float) -> None:
    for common in (None, synced(BASE)):
        assert rule(local, Remote(4, 15.0, theirs), common, at) in (local, theirs, None)


@pytest.mark.parametrize("number", ["1e400", "-1e400", str(10**400), "9" * 20, '"x"', "null", "{}"])
def test_hostile_numbers(number: str) -> None:
    made = f'{{"tokens":{{"expiresAt":{number}}},"lastAccessed":{number},"createdAt":{number}}}'
    for rule in (newest_login, newest_client):
        for common in (None, synced(BASE)):
            assert rule(made.encode(), Remote(4, 15.0, BASE), common, 20.0) in (made.encode(), BASE)


@dataclass
class Home:
    content: Content = None
    common: Synced | None = None


@dataclass
class World:
    """Homes that share a Redis; a refresh follows the rules: in step first, one at a time, handed over at once."""

    rule: Newer
    homes: list[Home] = field(default_factory=lambda: [Home(), Home(), Home()])
    redis: Remote | None = None
    now: float = 100.0

    def step(self, home: Home) -> None:
        done = decide(home.content, self.redis, home.common, self.now, self.rule)
        if done is None:
            return
        if done.pull:
            home.content = done.content
        if done.push:
            self.redis = Remote(done.generation, done.changed_at, done.content, done.spent)
        home.common = in_step(done)

    def settle(self) -> None:
        for home in (*self.homes, *self.homes):
            self.now += 1
            self.step(home)


ACTION = st.tuples(st.sampled_from(["login", "remove", "mark", "step", "lose"]), st.integers(0, 2))


@pytest.mark.parametrize("rule", [newest_login, newest])
@given(st.lists(ACTION, max_size=14))
def test_all_homes_come_to_have_the_same(rule: Newer, actions: list[tuple[str, int]]) -> None:
    world = World(rule)
    for number, (action, at) in enumerate(actions):
        home = world.homes[at]
        world.now += 1
        if action == "login":
            home.content = entry(number + 2, f"login-{number}")
        elif action == "remove":
            home.content = None
        elif action == "mark" and home.content:
            home.content = canonical(home.content[:-1] + b',"disabled":{"reason":"%d"}}' % number)
        elif action == "step":
            world.step(home)
        else:
            world.redis = None
    world.settle()
    assert len({home.content for home in world.homes}) == 1
    world.redis = None
    before = world.homes[0].content
    world.settle()
    assert {home.content for home in world.homes} == {before}, "an empty Redis changes nothing"


REFRESH = st.tuples(
    st.sampled_from(["refresh", "step", "lose"]), st.integers(0, 2), st.integers(0, 200)
)


@given(st.lists(REFRESH, max_size=14))
def test_no_refresh_is_lost(actions: list[tuple[str, int, int]]) -> None:
    """Whatever is lost of Redis, and whenever tokens end by the clock of who refreshes, which may be days off.

    A home refreshes after all have written back, and hands over at once.
    """
    world, last = World(newest_login), entry(ends=100)
    world.homes[0].content = last
    world.settle()
    for number, (action, at, ends) in enumerate(actions):
        home = world.homes[at]
        if action == "refresh":
            world.settle()
            assert home.content == last
            last = home.content = entry(token=f"t{number}", ends=ends)
            world.step(home)
        elif action == "step":
            world.step(home)
        else:
            world.redis = None
    world.settle()
    assert {home.content for home in world.homes} == {last}


def test_tokens_of_a_file_that_was_put_back_are_spent() -> None:
    world, home = World(newest_login), Home(entry(token="1"))
    world.step(home)
    home.content = refreshed = entry(token="2", ends=1)
    world.step(home)
    for back in (home, Home()):
        back.content = entry(token="1")
        world.step(back)
        assert back.content == refreshed
