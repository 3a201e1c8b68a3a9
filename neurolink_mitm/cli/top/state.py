"""What `neurolink top` shows and asks, as a state machine: a key in, the next state and perhaps an action out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neurolink_mitm.cli.top.keys import ESCAPE

Report = Mapping[str, Any]

ACCOUNTS, EXPLANATION, HELP = "accounts", "explanation", "help"
"""What fills the screen."""
PAUSE, RESET = "pause", "reset"
"""What is asked about."""
HOUR = 3600.0
DURATIONS: Mapping[str, float | None] = {"1": HOUR, "2": 2 * HOUR, "u": None}
"""Answers to the question how long, in seconds; None: until the account is resumed."""
STEPS = {"up": -1, "k": -1, "down": 1, "j": 1}
ANY: str | None = None
"""A model that the configuration does not name."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the report."""

    key: str
    label: str


@dataclass(frozen=True, slots=True)
class Question:
    about: str
    account: Account
    """The one that was selected when the question came up."""


@dataclass(frozen=True, slots=True)
class Pause:
    account: Account
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Resume:
    account: Account


@dataclass(frozen=True, slots=True)
class Reset:
    account: Account


@dataclass(frozen=True, slots=True)
class Quit:
    pass


Action = Pause | Resume | Reset | Quit


@dataclass(frozen=True, slots=True)
class State:
    """What the person has chosen."""

    selected: str | None = None
    """The key of an account."""
    view: str = ACCOUNTS
    model: str | None = ANY
    """The one that is explained."""
    question: Question | None = None
    message: str = ""
    """What became of the last action."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from."""

    accounts: Sequence[Account] = ()
    models: Sequence[str | None] = (ANY,)


Result = tuple[State, Action | None]


def press(state: State, key: str, choices: Choices) -> Result:
    """Return the state after `key`, and what is to be done."""
    state = replace(state, message="")
    if state.question is not None:
        return _answered(replace(state, question=None), state.question, key)
    if key in STEPS or key in ("home", "end"):
        return replace(state, selected=_moved(state.selected, key, choices.accounts)), None
    if key == "q" or (key == ESCAPE and state.view == ACCOUNTS):
        return state, Quit()
    if key in _ON_ACCOUNT:
        account = selected(state, choices.accounts)
        if account is None:
            return replace(state, message="no account is shown that this could be done to"), None
        return _ON_ACCOUNT[key](state, account)
    return _other_view(state, key, choices.models), None


def selected(state: State, accounts: Sequence[Account]) -> Account | None:
    """Return the account that is selected; the first one until another is, and where that is gone."""
    chosen = (each for each in accounts if each.key == state.selected)
    return next(chosen, accounts[0] if accounts else None)


def _moved(key: str | None, move: str, accounts: Sequence[Account]) -> str | None:
    if not accounts:
        return key
    last = len(accounts) - 1
    at = next((number for number, each in enumerate(accounts) if each.key == key), 0)
    to = {"home": 0, "end": last}.get(move, at + STEPS.get(move, 0))
    return accounts[min(max(to, 0), last)].key


def _other_view(state: State, key: str, models: Sequence[str | None]) -> State:
    if key == ESCAPE:
        return replace(state, view=ACCOUNTS)
    if key == "e":
        return replace(state, view=ACCOUNTS if state.view == EXPLANATION else EXPLANATION)
    if key in ("?", "h"):
        return replace(state, view=ACCOUNTS if state.view == HELP else HELP)
    if key == "m":
        at = models.index(state.model) if state.model in models else -1
        following = models[(at + 1) % len(models)] if state.view == EXPLANATION else state.model
        return replace(state, view=EXPLANATION, model=following)
    return state


def _answered(state: State, question: Question, key: str) -> Result:
    if question.about == PAUSE and key in DURATIONS:
        return state, Pause(question.account, DURATIONS[key])
    if question.about == RESET and key in ("y", "Y"):
        return state, Reset(question.account)
    return replace(state, message=f"{question.account.label!r}: nothing is changed"), None


def _ask(about: str) -> Callable[[State, Account], Result]:
    return lambda state, account: (replace(state, question=Question(about, account)), None)


def _resume(state: State, account: Account) -> Result:
    return state, Resume(account)


_ON_ACCOUNT: Mapping[str, Callable[[State, Account], Result]] = {
    "p": _ask(PAUSE),
    "r": _resume,
    "x": _ask(RESET),
}
