"""Homes come in step through a real Redis."""

from __future__ import annotations

import logging
import os
import resource
import time
from pathlib import Path

import msgspec
import pytest
from redis import Redis

from neurolink_mitm.adapters.client_file import (
    add_client,
    read_clients,
    renew_client,
    revoke_client,
)
from neurolink_mitm.adapters.mark_file import read_marks
from neurolink_mitm.adapters.pause_file import pause, read_pauses, resume
from neurolink_mitm.cluster.home.sync import NOT_WRITTEN, OTHER_ACCOUNT
from neurolink_mitm.cluster.home.sync import OTHER_KEY as OTHER_KEY_SAID
from neurolink_mitm.cluster.redis.link import AwayError
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.members import OTHER_KEY, Members, login, members
from tests.cluster.redis_server import RedisServer

pytestmark = pytest.mark.real("redis")


def refreshed(token: str, ends: float = 2e9) -> Tokens:
    return Tokens(Secret(f"sk-ant-oat-test-{token}"), Secret(f"sk-ant-ort-test-{token}"), ends)


def test_a_login_reaches_the_others(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    a.sync.run()
    b.sync.run()
    assert b.login() == a.login()
    a.store.replace_tokens("work", refreshed("2"))
    a.sync.run()
    b.sync.run()
    assert b.token() == "sk-ant-oat-test-2"


def test_a_login_elsewhere_replaces_the_one_here(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    a.sync.run()
    b.sync.run()
    b.store.save(login("2"))
    b.sync.run()
    a.sync.run()
    assert a.token() == b.token() == "sk-ant-oat-test-2"


def test_a_home_that_joins_with_another_account_of_a_label_replaces_none(
    pool: Members, redis: Redis
) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1", account="uuid-1"))
    b.store.save(login("2", account="uuid-2"))
    for each in (a, b, a, b):
        each.sync.run()
    redis.flushall()
    for each in (b, a, b):
        each.sync.run()
    assert (a.token(), b.token()) == ("sk-ant-oat-test-1", "sk-ant-oat-test-2")
    assert a.sync.problems == ()
    assert b.sync.problems == (f"logins in Redis: 'work': {OTHER_ACCOUNT}",)
    b.store.remove("work")
    b.store.save(login("2", label="other", account="uuid-2"))
    for each in (b, a):
        each.sync.run()
    assert b.sync.problems == ()
    for each in (a, b):
        assert (each.token(), each.token("other")) == ("sk-ant-oat-test-1", "sk-ant-oat-test-2")


def test_a_removed_account_does_not_come_back(pool: Members, redis: Redis) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    a.store.remove("work")
    a.sync.run()
    redis.flushall()
    b.store.save(login("x", label="other"))
    for each in (b, a, b, a):
        each.sync.run()
    assert a.login() is None
    assert b.login() is None
    assert a.login("other") == b.login("other")


def test_an_empty_redis_gets_the_newest(pool: Members, redis: Redis) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    a.store.replace_tokens("work", refreshed("2"))
    a.sync.run()
    redis.flushall()
    for each in (b, a, b):  # first the one that has missed a change
        each.sync.run()
    assert a.token() == b.token() == "sk-ant-oat-test-2"


def test_a_home_without_its_files_is_filled(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    add_client(a.home.clients, "laptop", time.time())
    pause(a.home.pauses, "anthropic:work", Pause(None, "holiday"), time.time())
    for each in (a, b):
        each.sync.run()
    for path in (b.home.tokens, b.home.clients, b.home.pauses):
        path.unlink()
    b.sync.run()
    a.sync.run()
    assert a.login() == b.login() is not None
    assert read_clients(b.home.clients) == read_clients(a.home.clients)
    assert read_pauses(b.home.pauses) == read_pauses(a.home.pauses)
    assert len(read_pauses(a.home.pauses)) == 1


def test_a_broken_file_is_left_as_it_is(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    b.home.tokens.write_text("{ broken")
    add_client(b.home.clients, "laptop", time.time())
    for _ in range(2):
        b.sync.run()
    a.sync.run()
    assert b.home.tokens.read_text() == "{ broken"
    assert a.login() is not None
    assert [each.name for each in read_clients(a.home.clients)] == ["laptop"]
    assert "logins are not shared" in b.sync.problems[0]


def test_what_cant_be_written_here_keeps_nothing_from_the_others(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    a.store.replace_tokens("work", refreshed("2"))
    a.sync.run()
    b.store.save(login("x", label="other"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        b.sync.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "logins of other replicas: " in b.sync.problems[0]
    assert b.sync.obstacle("logins", "work") == NOT_WRITTEN
    assert b.token() == "sk-ant-oat-test-1"
    a.sync.run()
    assert a.login("other") is not None
    b.sync.run()
    assert b.token() == "sk-ant-oat-test-2"


def test_client_keys_are_shared_renewed_and_revoked(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    add_client(a.home.clients, "laptop", time.time(), rate=7)
    for each in (a, b):
        each.sync.run()
    assert read_clients(b.home.clients) == read_clients(a.home.clients)
    renew_client(b.home.clients, "laptop")
    for each in (b, a):
        each.sync.run()
    assert read_clients(b.home.clients) == read_clients(a.home.clients)
    revoke_client(b.home.clients, "laptop")
    for each in (b, a):
        each.sync.run()
    assert read_clients(a.home.clients) == ()


def test_a_pause_and_its_end_are_shared(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    pause(a.home.pauses, "anthropic:work", Pause(time.time() + 999.5, "meeting"), time.time())
    for each in (a, b, a):
        each.sync.run()
    assert read_pauses(b.home.pauses) == read_pauses(a.home.pauses)
    resume(b.home.pauses, "anthropic:work", time.time())
    for each in (b, a):
        each.sync.run()
    assert read_pauses(a.home.pauses) == {}


def test_the_primary_account_is_agreed_on(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.configured["primary"] = "work"
    b.configured["primary"] = "home"
    for each in (a, b, a):
        each.sync.run()
    marks = [read_marks(each.home.cluster_marks, each.configured)["primary"] for each in (a, b)]
    assert marks == ["work", "work"], "a home that is new to the cluster follows it"
    b.configured["primary"] = "third"
    for each in (b, a):
        each.sync.run()
    marks = [read_marks(each.home.cluster_marks, each.configured)["primary"] for each in (a, b)]
    assert marks == ["third", "third"], "a later edit is the newer mark"


def test_a_refresh_of_an_old_login_does_not_undo_a_new_one(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    time.sleep(0.01)  # logins are told apart by their time
    a.store.save(login("new"))
    b.store.replace_tokens("work", refreshed("2", ends=3e9))
    for each in (a, b, a):
        each.sync.run()
    assert a.token() == b.token() == "sk-ant-oat-test-new"


def test_who_disables_by_hand_is_heard_beside_a_refresh(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    a.store.replace_tokens("work", refreshed("2", ends=2.1e9))
    b.store.disable("work", "by hand", time.time())
    for each in (a, b, a):
        each.sync.run()
    for each in (a, b):
        stored = each.login()
        assert stored
        assert (stored.access_token.reveal(), stored.disabled) == ("sk-ant-oat-test-2", "by hand")


def test_a_login_that_was_refused_here_but_refreshed_there_serves(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    b.store.disable("work", "needs login: invalid_grant", time.time())
    b.sync.run()
    a.store.replace_tokens("work", refreshed("2"))
    for each in (a, b):
        each.sync.run()
    stored = b.login()
    assert stored
    assert (stored.access_token.reveal(), stored.disabled) == ("sk-ant-oat-test-2", None)


def test_nothing_of_a_token_is_in_redis(pool: Members, redis: Redis) -> None:
    a = pool.member("a")
    a.store.save(login("1"))
    key = add_client(a.home.clients, "laptop", time.time())
    with redis.monitor() as monitor:
        a.sync.run()
        redis.ping()
        heard = ""
        while "PING" not in heard.upper().split("\n")[-1]:
            heard += "\n" + str(monitor.next_command())
    dumped = b"".join(bytes(redis.dump(name) or b"") for name in redis.keys("*"))
    everything = heard.encode() + dumped
    assert len(everything) > 1000
    assert b"sk-ant" not in everything
    assert key.encode() not in everything


def test_a_member_with_another_key_keeps_to_itself(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b", OTHER_KEY)
    a.store.save(login("1"))
    b.store.save(login("2"))
    for each in (a, b, b, a):
        each.sync.run()
    assert a.token() == "sk-ant-oat-test-1"
    assert b.token() == "sk-ant-oat-test-2"
    assert b.sync.obstacle("logins", "work") == OTHER_KEY_SAID
    assert b.sync.problems == (f"logins in Redis: 'work': {OTHER_KEY_SAID}",)


def test_a_new_key_for_all_takes_over_once_the_old_one_is_out_of_use(
    pool: Members, redis: Redis
) -> None:
    a = pool.member("a")
    a.store.save(login("1"))
    a.sync.run()
    renewed = pool.member("a", OTHER_KEY)
    renewed.sync.run()
    assert renewed.sync.obstacle("logins", "work") == OTHER_KEY_SAID
    (old, *_), now = redis.zrange("{nl}:keys", 0, 0), time.time()
    redis.zadd("{nl}:keys", {old: now - 80, b"intruder": 1e300})
    renewed.sync.run()
    assert renewed.sync.obstacle("logins", "work") is None
    other = pool.member("b", OTHER_KEY)
    other.sync.run()
    assert other.login() == a.login()
    assert redis.zscore("{nl}:keys", b"intruder") is None


GARBAGE = [b"", b"\x00", b"\xff" * 100, msgspec.msgpack.encode([1, 2**63, b""]), b"x" * 100_000]


@pytest.mark.parametrize("garbage", GARBAGE, ids=["empty", "zero", "ff", "2^63", "huge"])
def test_garbage_is_ignored_and_replaced(pool: Members, redis: Redis, garbage: bytes) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    redis.hset("{nl}:logins", "work", garbage)
    redis.hset("{nl}:clients", "intruder", garbage)
    for each in (a, b):
        each.sync.run()
    assert a.login() == b.login() is not None
    assert read_clients(a.home.clients) == ()
    assert "clients in Redis: 'intruder': not written by a replica" in a.sync.problems[-1]


def test_an_entry_that_was_moved_or_replayed_is_not_taken(pool: Members, redis: Redis) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    a.sync.run()
    old = redis.hget("{nl}:logins", "work")
    b.sync.run()
    a.store.replace_tokens("work", refreshed("2"))
    for each in (a, b):
        each.sync.run()
    redis.hset("{nl}:logins", mapping={"work": old, "elsewhere": old})
    for each in (b, a):
        each.sync.run()
    assert a.token() == b.token() == "sk-ant-oat-test-2"
    assert a.login("elsewhere") is b.login("elsewhere") is None
    assert redis.hget("{nl}:logins", "work") != old


def test_values_of_another_type_are_replaced(pool: Members, redis: Redis) -> None:
    a, b = pool.member("a"), pool.member("b")
    for name in ("logins", "clients", "pauses", "marks"):
        redis.set(f"{{nl}}:{name}", "text")
    for name in ("counter", "since", "keys"):
        redis.rpush(f"{{nl}}:{name}", "list")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    assert a.login() == b.login() is not None


def test_a_flood_of_entries_is_not_read(pool: Members, redis: Redis) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    redis.hset("{nl}:logins", mapping={f"x{n}": "y" for n in range(6000)})
    a.store.replace_tokens("work", refreshed("2"))
    for each in (a, b):
        each.sync.run()
    assert b.token() == "sk-ant-oat-test-2"
    assert "only those of this home are read" in b.sync.problems[0]
    redis.delete("{nl}:logins")
    redis.hset("{nl}:logins", "x", b"z" * 9_000_000)
    for each in (a, b):
        each.sync.run()
    assert b.token() == "sk-ant-oat-test-2"


def test_what_fills_several_kinds_keeps_no_login_from_the_others(
    pool: Members, redis: Redis
) -> None:
    """Together it would be more than an answer of Redis may have."""
    a, b = pool.member("a"), pool.member("b")
    for kind, count in {"logins": 20, "clients": 50, "pauses": 50, "marks": 50}.items():
        redis.hset(f"{{nl}}:{kind}", mapping={f"x{n}": b"y" * 60_000 for n in range(count)})
    redis.zadd("{nl}:keys", {b"k" * 9_000_000: time.time()})
    a.store.save(login("1"))
    for each in (a, b):
        each.sync.run()
    assert b.login() == a.login() is not None


def test_two_namespaces_know_nothing_of_each_other(
    tmp_path: Path, server: RedisServer, pool: Members
) -> None:
    with members(tmp_path / "other", server.url, "nl2") as others:
        a, b = pool.member("a"), others.member("b")
        a.store.save(login("1"))
        for each in (a, b):
            each.sync.run()
        assert b.login() is None


def test_redis_away_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    with members(tmp_path, "redis://127.0.0.1:1/0", "nl") as made:
        a = made.member("a")
        a.store.save(login("1"))
        with pytest.raises(AwayError):
            a.sync.run()
        assert a.login() is not None
        assert not a.sync.settled


def test_a_ledger_that_is_broken_or_lost_loses_nothing(pool: Members) -> None:
    a, b = pool.member("a"), pool.member("b")
    a.store.save(login("1", ends=2e9))
    for each in (a, b):
        each.sync.run()
    a.store.replace_tokens("work", refreshed("2", ends=2.1e9))
    a.sync.run()
    b.home.cluster_synced.write_bytes(b"{")
    for each in (b, a):
        each.sync.run()
    assert a.token() == b.token() == "sk-ant-oat-test-2"
    assert os.listdir(b.home.root)
    logging.getLogger("neurolink").debug("the broken one was set aside")
