"""Claude Code itself on another provider, per family: its session outlives what goes wrong there."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurolink_mitm import sandbox
from tests import claude_cli as claude_code
from tests.flows.fallen import Fallen, Setting
from tests.flows.test_fallback_claude_code import WORD, Reads, ask
from tests.lookalikes.kimi import Kimi
from tests.lookalikes.script import Asked, Call, Reply, Script, calls, fail, say
from tests.translator.providers import KINDS, Kind

pytestmark = [pytest.mark.real("npm", "litellm"), pytest.mark.timeout(400)]

QUESTION = "what is in note.txt?"
SUMMARY = "all-that-was-said-before"


@pytest.fixture(scope="session")
def claude() -> Path:
    return claude_code.installed()


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def them(request: pytest.FixtureRequest, through_litellm: Setting, tmp_path: Path) -> Fallen:
    """A chain of one entry, and accounts that are limited for ten minutes."""
    kind: Kind = request.param
    (tmp_path / "note.txt").write_text(WORD)
    them = through_litellm(kind)
    limit(them)
    them.lookalikes[kind.name].script = Reads(tmp_path / "note.txt")
    return them


def limit(them: Fallen) -> None:
    for name in "ab":
        them.sandbox.script(name, sandbox.Reply(429, headers={"retry-after": "600"}))


def script(them: Fallen, *replies: Reply) -> None:
    (lookalike,) = them.lookalikes.values()
    lookalike.script.add(*replies)


TROUBLE = (
    *(fail(503), fail(500), fail(503)),  # a hiccup, and one that lasts longer than two rounds
    say("Let me see. " * 9, cut_after=4),
    say("", cut_after=0),
)


def test_it_outlives_trouble(claude: Path, them: Fallen, tmp_path: Path) -> None:
    script(them, *TROUBLE)
    assert WORD in ask(claude, them, tmp_path, QUESTION)["result"]
    assert 529 in {row.responseStatus for row in them.proxy.rows.requests}


class Shortens(Reads):
    """Answers the request for a summary, in which Claude Code offers its tools as well, by one."""

    def next(self, asked: Asked) -> Reply:
        if "Respond with TEXT ONLY" in asked.text:
            return say(f"<summary>{SUMMARY}</summary>")
        return super().next(asked)


def test_it_shortens_a_conversation_that_is_too_long(
    claude: Path, them: Fallen, tmp_path: Path
) -> None:
    (lookalike,) = them.lookalikes.values()
    lookalike.script = Shortens(tmp_path / "note.txt")
    ask(claude, them, tmp_path, QUESTION)
    script(them, fail(400, "This model's maximum context length is 100 tokens"))
    ask(claude, them, tmp_path, "once more", "--continue")
    assert SUMMARY in lookalike.requests[-1].raw.decode()
    statuses = [row.responseStatus for row in them.proxy.rows.requests]
    assert statuses.count(400) == 1


class ReadsAgain(Script):
    """Has one file read after the other, with a blank text and the same id each time, as Kimi does."""

    def __init__(self, *paths: Path) -> None:
        super().__init__()
        self._paths = list(paths)

    def next(self, asked: Asked) -> Reply:
        if "Read" in {name for name, _ in asked.tools} and self._paths:
            read = Call("Read", {"file_path": str(self._paths.pop(0))})
            return calls(read, text="\n\n", ids=("functions.Read:0",))
        return super().next(asked)


def test_it_keeps_calls_whose_id_comes_again(
    claude: Path, through_litellm: Setting, tmp_path: Path
) -> None:
    kind = Kind("Kimi", "moonshot", "kimi-k2-0905-preview", Kimi, "/v1")
    them = through_litellm(kind)
    limit(them)
    notes = [tmp_path / f"note-{n}.txt" for n in range(3)]
    for note in notes:
        note.write_text(f"{WORD}-{note.stem}")
    lookalike = them.lookalikes[kind.name]
    lookalike.script = ReadsAgain(*notes)
    ask(claude, them, tmp_path, "what is in my notes?")
    last = lookalike.requests[-1].raw.decode()
    assert all(f"{WORD}-{note.stem}" in last for note in notes), "no result is lost"

    them.recover()
    before = len(them.sandbox.requests)
    ask(claude, them, tmp_path, "thank you", "--continue")
    back = [r for r in them.sandbox.requests[before:] if r.path.startswith("/v1/messages?")]
    assert {r.status for r in back} == {200}
    assert any(all(note.stem in r.body.decode() for note in notes) for r in back)


def test_it_goes_to_accounts_that_are_back_and_leaves_them_again(
    claude: Path, them: Fallen, tmp_path: Path
) -> None:
    ask(claude, them, tmp_path, QUESTION)
    them.recover()
    ask(claude, them, tmp_path, "thank you", "--continue")
    assert them.proxy.rows.requests[-1].provider == "anthropic"
    limit(them)
    assert WORD in ask(claude, them, tmp_path, "once more", "--continue")["result"]
    assert them.proxy.rows.requests[-1].provider != "anthropic"
    assert {row.responseStatus for row in them.proxy.rows.requests} == {200}
