"""Claude Code itself, with a tool that it really runs, while every account is limited."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import claude_cli as claude_code
from tests.flows.fallen import Fallen, Setting
from tests.lookalikes.script import Asked, Reply, Script, call
from tests.translator.providers import KINDS, Kind

pytestmark = pytest.mark.real("npm", "litellm")
WORD = "a-word-that-only-the-file-holds"


class Reads(Script):
    """Has the file read, and says then what was in it. Side requests, which offer no such tool, get the default."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def next(self, asked: Asked) -> Reply:
        offered = {name for name, _ in asked.tools}
        if asked.result is None and "Read" in offered:
            return call("Read", file_path=str(self._path))
        return super().next(asked)


@pytest.fixture(scope="session")
def claude() -> Path:
    return claude_code.installed()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_it_works_with_tools_on_another_provider_and_comes_back(
    claude: Path, through_litellm: Setting, kind: Kind, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text(WORD)
    them = through_litellm(kind)
    them.limit()
    lookalike = them.lookalikes[kind.name]
    lookalike.script = Reads(note)
    said = ask(claude, them, tmp_path, "what is in note.txt?")
    assert WORD in said["result"], said
    assert {row.responseStatus for row in them.proxy.rows.requests} == {200}
    given = them.heard.judge()
    assert any(message.tool_uses for message in given)
    assert any(WORD in message.text for message in given)
    asked = [each for each in lookalike.requests if WORD in each.raw.decode()]
    assert asked, "the result of the tool came to the provider"

    them.recover()
    before = len(them.sandbox.requests)
    ask(claude, them, tmp_path, "thank you", "--continue")
    back = [r for r in them.sandbox.requests[before:] if r.path.startswith("/v1/messages?")]
    assert {r.status for r in back} == {200}, "what the other provider left is taken by Anthropic"
    assert any(WORD in r.body.decode() for r in back)


def ask(claude: Path, them: Fallen, home: Path, words: str, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [claude, "-p", words, "--allowedTools", "Read", "--output-format", "json", *options],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANTHROPIC_API_KEY": "sk-ant-test-dummy",
            "ANTHROPIC_BASE_URL": them.proxy.url,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        },
        cwd=home, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["is_error"] is False, said
    return said
