import threading

import pytest

from neurolink_mitm.sandbox.accounts import Account, Reply, Script
from neurolink_mitm.sandbox.state import Sandbox


def test_a_request_takes_one_step() -> None:
    sandbox = Sandbox([Account("a", "k", script=Script((Reply(429), Reply())))])
    assert [sandbox.next_reply("a").status for _ in range(3)] == [429, 200, 200]
    assert sandbox.served("a") == 3


def test_accounts_step_by_themselves() -> None:
    script = Script((Reply(429), Reply()))
    sandbox = Sandbox([Account("a", "k", script=script), Account("b", "l", script=script)])
    sandbox.next_reply("a")
    assert sandbox.next_reply("b").status == 429


def test_a_new_script_starts_at_its_first_step() -> None:
    sandbox = Sandbox([Account("a", "k")])
    sandbox.next_reply("a")
    sandbox.script("a", Script((Reply(500), Reply())))
    assert [sandbox.next_reply("a").status for _ in range(2)] == [500, 200]


def test_no_step_is_taken_twice() -> None:
    sandbox = Sandbox(
        [Account("a", "k", script=Script(tuple(Reply(events=n) for n in range(400))))]
    )
    taken: list[int | None] = []
    threads = [
        threading.Thread(
            target=lambda: taken.extend(sandbox.next_reply("a").events for _ in range(100))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(n for n in taken if n is not None) == list(range(400))


def test_an_unknown_account_is_named() -> None:
    with pytest.raises(KeyError, match="'nobody'"):
        Sandbox([]).script("nobody", Script())
    with pytest.raises(KeyError, match="'nobody'"):
        Sandbox([]).account("nobody")


@pytest.mark.parametrize(
    ("second", "key"),
    [(Account("a", "other"), "name"), (Account("b", "k"), "credential")],
)
def test_two_accounts_are_told_apart(second: Account, key: str) -> None:
    with pytest.raises(ValueError, match=f"same {key}"):
        Sandbox([Account("a", "k"), second])
