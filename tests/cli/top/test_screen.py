"""The screen of `neurolink top` on terminals of several sizes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.cells import cell_len

from neurolink_mitm.cli.proxy.status import StatusResult
from neurolink_mitm.cli.top.screen import Frame
from neurolink_mitm.cli.top.state import EXPLANATION, HELP, PAUSE, Account, Question, State
from neurolink_mitm.cli.top.threads import Answer
from neurolink_mitm.cli.ui.exits import FAILED, NOT_RUNNING
from tests.cli.proxy.test_live_text import report
from tests.fakes import NOW

pytestmark = pytest.mark.usefixtures("in_kolkata")

WHY = {"usable": True, "reason": "fill-first", "until": None}
SIZES = [(80, 24), (40, 12), (200, 60), (80, 12), (20, 5), (3, 2), (1, 1)]
LAST = "anthropic:someone.29@example.com"


def answer(document: dict[str, Any], **query: str) -> Answer:
    return Answer(StatusResult(document), query, NOW)


def explained(accounts: int) -> dict[str, Any]:
    document = report(accounts, 3)
    rows = [
        {"label": each["label"], "key": each["key"], "next": not number} | WHY
        for number, each in enumerate(document["stats"]["accounts"])
    ]
    return document | {"explain": rows, "route": {}}


def screen(frame: Frame, width: int = 80, height: int = 24) -> list[str]:
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in frame.lines(width, height)]


def frame(state: State | None = None, last: Answer | None = None, **more: Any) -> Frame:
    fields = {"report": last, "waited": 0.0, "now": NOW} | more
    return Frame(state or State(), last, **fields)


STATES = {
    "accounts": (State(selected=LAST), {}),
    "question": (State(LAST, question=Question(PAUSE, Account(LAST, "🚀 Büro" * 20))), {}),
    "explanation": (State(LAST, EXPLANATION), {}),
    "help": (State(view=HELP, message="x" * 300), {}),
}


@pytest.mark.parametrize(("state", "query"), STATES.values(), ids=STATES)
def test_it_fits_all_sizes(state: State, query: dict[str, str]) -> None:
    for width, height in SIZES:
        for document in (explained(30), explained(1), report(0, 1)):
            lines = screen(frame(state, answer(document, **query)), width, height)
            assert len(lines) == height
            assert max(map(cell_len, lines)) <= width, (width, height)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 12), (200, 60)])
@pytest.mark.parametrize("shown", ["accounts", EXPLANATION])
def test_the_selected_account_is_on_every_screen(shown: str, width: int, height: int) -> None:
    for number in (0, 15, 29):
        state = State(f"anthropic:someone.{number}@example.com", shown)
        lines = screen(frame(state, answer(explained(30))), width, height)
        marked = [line for line in lines if line.startswith(">")]
        assert len(marked) == 1
        assert f"someone.{number}" in marked[0]


def test_what_is_asked_and_what_happened_stand_above_the_keys() -> None:
    asked = screen(
        frame(State(question=Question(PAUSE, Account(LAST, "work"))), answer(report(1, 1)))
    )
    assert asked[-2] == "pause 'work': 1 for 1 h, 2 for 2 h, u until resumed; Esc: no"
    told = screen(frame(State(message="resumed 'work'\x1b[2J"), answer(report(1, 1))))
    assert told[-2] == "resumed 'work'?[2J"
    assert told[-1].endswith("q quit")


def test_a_proxy_that_does_not_answer_leaves_the_last_report_with_its_time() -> None:
    before = answer(report(2, 1))
    silent = Answer(StatusResult(None, "process 12 runs, but does not answer", FAILED), {}, NOW)
    for lines in (
        screen(frame(None, before, waited=3.0, now=NOW + 30)),
        screen(frame(None, silent, report=before, now=NOW + 30)),
    ):
        assert lines[0].startswith("NeuroLink ")
        assert any(line.startswith("no answer since 14:23:20 IST, 30s ago") for line in lines)
    assert not any("no answer" in line for line in screen(frame(None, before, waited=0.5)))


def test_where_nothing_runs_no_account_is_shown() -> None:
    down = Answer(StatusResult(None, "the proxy is not running", NOT_RUNNING), {}, NOW)
    ended = frame(None, down, report=answer(report(2, 1)))
    assert screen(ended)[0] == "the proxy is not running"
    assert ended.shown_report is None


def test_an_explanation_of_another_model_is_not_shown() -> None:
    state = State(view=EXPLANATION, model="claude-opus-5")
    assert screen(frame(state, answer(explained(2))))[0] == "asking the proxy …"
    assert "fill-first" in screen(frame(state, answer(explained(2), model="claude-opus-5")))[1]


def test_the_next_account_is_named_where_its_row_is_left_out() -> None:
    lines = screen(frame(State(LAST, EXPLANATION), answer(explained(30))), 80, 12)
    assert any(line.endswith("more; next is someone.0@example.com") for line in lines)


def test_an_explanation_folds_no_mark() -> None:
    document = explained(2)
    for each in document["explain"]:
        each |= {"label": "alpha", "reason": "usable, but not next by fill-first"}
    lines = screen(frame(State(view=EXPLANATION), answer(document)), 40, 12)
    assert lines[1].split()[:2] == [">", "next"]


def test_a_report_of_another_version_does_not_end_it() -> None:
    broken = {"stats": {"accounts": [{"key": "a", "label": "a"}]}}
    assert screen(frame(None, answer(broken)))[0].startswith("the report can't be shown")


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = "\n".join(frame(None, answer(report(3, 3))).lines(80, 24))
    monkeypatch.setenv("NO_COLOR", "1")
    plain = "\n".join(frame(None, answer(report(3, 3))).lines(80, 24))
    colours = re.compile(r"\x1b\[(?:\d+;)*[349]\d")
    assert colours.search(coloured)
    assert not colours.search(plain)
