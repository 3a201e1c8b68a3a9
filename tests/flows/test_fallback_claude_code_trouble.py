"""Claude Code itself on another provider, per family: its session outlives what goes wrong there."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurolink_mitm import sandbox
from tests import claude_cli as claude_code
from tests.flows.fallen import Fallen, Setting
from tests.flows.test_fallback_claude_code import WORD, Reads, ask
from tests.lookalikes.bedrock import Bedrock
from tests.lookalikes.deepseek import DeepSeek
from tests.lookalikes.kimi import Kimi
from tests.lookalikes.mistral import Mistral
from tests.lookalikes.script import Asked, Call, Reply, Script, calls, fail, say
from tests.translator.providers import KINDS, Kind

pytestmark = [pytest.mark.real("npm", "litellm"), pytest.mark.timeout(400)]

QUESTION = "what is in note.txt?"
OTHER = "what-only-the-other-file-holds"
SUMMARY = "all-that-was-said-before"


@pytest.fixture(scope="session")
def claude() -> Path:
    return claude_code.installed()


FAMILIES = KINDS | {
    "mistral": Kind("Mistral", "mistral", "mistral-medium-latest", Mistral, "/v1"),
    "deepseek": Kind("DeepSeek", "deepseek", "deepseek-reasoner", DeepSeek, ""),
    "kimi": Kind("Kimi", "moonshot", "kimi-k2.5", Kimi, "/v1"),
    "bedrock": Kind("Bedrock", "bedrock", "converse/anthropic.claude-sonnet-4-5-20250929-v1:0", Bedrock, ""),
}  # fmt: skip


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES)
def them(request: pytest.FixtureRequest, through_litellm: Setting, tmp_path: Path) -> Fallen:
    """A chain of one entry, and accounts that are limited for ten minutes."""
    kind: Kind = request.param
    (tmp_path / "note.txt").write_text(WORD)
    (tmp_path / "other.txt").write_text(OTHER)
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


class SameId(Script):
    """Has one file read after the other, by calls with blank words before and the same id, as Kimi does."""

    def __init__(self, *paths: Path) -> None:
        super().__init__()
        self._paths = list(paths)

    def next(self, asked: Asked) -> Reply:
        if self._paths and "Read" in {name for name, _ in asked.tools}:
            read = Call("Read", {"file_path": str(self._paths.pop(0))})
            return calls(read, text="\n\n", ids=("functions.Read:0",))
        return super().next(asked)


def test_calls_with_the_same_id_are_all_run(claude: Path, them: Fallen, tmp_path: Path) -> None:
    (lookalike,) = them.lookalikes.values()
    lookalike.script = SameId(tmp_path / "note.txt", tmp_path / "other.txt")
    assert OTHER in ask(claude, them, tmp_path, QUESTION)["result"]
    assert WORD in lookalike.requests[-1].raw.decode(), "the first result is still known"
    assert OTHER in lookalike.requests[-1].raw.decode()
    them.recover()
    ask(claude, them, tmp_path, "thank you", "--continue")
    assert them.proxy.rows.requests[-1].provider == "anthropic"


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
