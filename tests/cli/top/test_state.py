"""What each key of `neurolink top` does."""

from __future__ import annotations

import pytest

from neurolink_mitm.cli.top.state import (
    ACCOUNTS,
    EXPLANATION,
    HELP,
    Account,
    Action,
    Choices,
    Pause,
    Quit,
    Reset,
    Resume,
    State,
    press,
)

WORK, HOME, KEY = (Account(f"anthropic:{name}", name) for name in ("work", "home", "key"))
ALL = Choices((WORK, HOME, KEY), (None, "claude-opus-5", "claude-haiku-4-5"))


def pressed(
    *keys: str, state: State | None = None, choices: Choices = ALL
) -> tuple[State, list[Action]]:
    """Return the state after all `keys`, and the actions."""
    state, actions = state or State(), []
    for key in keys:
        state, action = press(state, key, choices)
        actions += [action] if action else []
    return state, actions


@pytest.mark.parametrize(
    ("keys", "actions"),
    [
        ("p1", [Pause(WORK, 3600)]),
        ("jp2", [Pause(HOME, 7200)]),
        ("jjjjpu", [Pause(KEY, None)]),
        ("jkr", [Resume(WORK)]),
        ("xy", [Reset(WORK)]),
        ("xn", []),
        ("px", []),
        ("pq", []),
        ("xq", []),
        ("pnq", [Quit()]),
        ("q", [Quit()]),
        ("eq", [Quit()]),
        ("zZ 5", []),
    ],
)  # fmt: skip
def test_keys_become_actions(keys: str, actions: list[Action]) -> None:
    assert pressed(*keys)[1] == actions


def test_a_question_is_about_the_account_that_was_selected_when_it_came_up() -> None:
    asked, _ = pressed("j", "x")
    moved = Choices((HOME, WORK), ALL.models)
    assert press(asked, "y", moved)[1] == Reset(HOME)
    assert press(asked, "y", Choices())[1] == Reset(HOME)


def test_an_account_that_is_gone_leaves_the_first_one_selected() -> None:
    state, _ = pressed("end")
    assert press(state, "r", Choices((HOME, WORK)))[1] == Resume(HOME)


def test_without_accounts_nothing_is_done_to_one() -> None:
    for key in "prx":
        state, actions = pressed("j", key, choices=Choices())
        assert (state.question, actions) == (None, [])
        assert "no account" in state.message


def test_escape_leaves_what_is_open_first() -> None:
    assert pressed("e", "escape")[0].view == ACCOUNTS
    assert pressed("?", "escape")[0].view == ACCOUNTS
    assert pressed("p", "escape")[1] == []
    assert pressed("escape")[1] == [Quit()]


def test_the_explanation_opens_and_goes_through_the_models() -> None:
    assert pressed("e")[0].view == EXPLANATION
    assert pressed("e", "e")[0].view == ACCOUNTS
    assert pressed("e", "?")[0].view == HELP
    models = [pressed("m", *"m" * n)[0].model for n in range(4)]
    assert models == [None, "claude-opus-5", "claude-haiku-4-5", None]


def test_a_message_stays_until_the_next_key() -> None:
    assert pressed("j", state=State(message="paused"))[0].message == ""
