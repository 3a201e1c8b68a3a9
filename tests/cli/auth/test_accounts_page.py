"""The transcripts of docs/accounts.md, run again as the page says: against `neurolink sandbox`."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence

import httpx
import pexpect

from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.logins import settings
from tests.cli.processes import NEUROLINK, ROOT, Shell
from tests.waiting import LIMIT

PAGE = (ROOT / "docs" / "accounts.md").read_text()
CODE, WRONG = "the code of the page", "a-wrong-code"
KEY, TOKEN = "sk-ant-test-beta", "sk-ant-oat-test-gamma"
LOGIN = "$ neurolink auth login anthropic"


def transcript(command: str) -> str:
    """What the page shows below a command, to the next one or the end of the block."""
    below = PAGE.partition(f"{command}\n")[2]
    assert below, f"the page has no {command}"
    return plain(re.split(r"\n```|\n\n?\$ ", below)[0])


def plain(text: str) -> str:
    """Without what differs from run to run: line breaks, the address, the time that is left."""
    text = re.sub(r"http://127\.0\.0\.1:\d+/\S+", "ADDRESS", text.replace("\r", ""))
    text = " ".join(re.sub(r"in \d+ h \d+ min", "in SOME TIME", text).split())
    return re.sub(r"(\[[yY]/[nN]\]:) y", r"\1", text)  # the answer is shown as it is typed


def at_terminal(shell: Shell, arguments: str, answers: Sequence[str]) -> str:
    program, *words = NEUROLINK
    child = pexpect.spawn(
        program, [*words, *arguments.split()], env={**shell.environment, "NO_COLOR": "1"},
        cwd=str(shell.home), dimensions=(50, 250), encoding="utf-8", timeout=LIMIT,
    )  # fmt: skip
    seen = ""
    for answer in answers:
        child.expect(r"(not shown\)|[yY]/[nN]\]): ")
        seen += f"{child.before}{child.after}\n"
        child.sendline(code_at(seen) if answer == CODE else answer)
    child.expect(pexpect.EOF)
    return seen + str(child.before)


def code_at(seen: str) -> str:
    page = httpx.get(re.findall(r"http://\S+authorize\S+", seen)[-1]).text
    found = re.search(r'<pre id="code">(.*?)</pre>', page)
    assert found
    return html.unescape(found[1])


def test_the_logins(shell: Shell) -> None:
    with SandboxServer() as sandbox:
        shell.write("proxy-config.yaml", settings(sandbox.url))
        owner = {"accountUuid": "1", "emailAddress": "me@example.com", "organizationName": "Mine"}
        login = {"accessToken": "sk-ant-oat-test-mine", "refreshToken": "sk-ant-ort-test-mine"}
        claude = shell.home / ".claude"
        claude.mkdir()
        (claude / ".credentials.json").write_text(json.dumps({"claudeAiOauth": login}))
        (shell.home / ".claude.json").write_text(json.dumps({"oauthAccount": owner}))
        for options, answers in (
            ("--label work", [WRONG, CODE]),
            ("--method api-key", [KEY, "y"]),
            ("--method create-api-key --add", [CODE]),
            ("--method setup-token --add", [TOKEN]),
            ("--method import --add", []),
        ):
            said = at_terminal(shell, f"auth login anthropic {options}", answers)
            assert plain(said) == transcript(f"{LOGIN} {options}")
        said = at_terminal(shell, "auth refresh anthropic work", [])
        assert plain(said) == transcript("$ neurolink auth refresh anthropic work")
        said = at_terminal(shell, "auth refresh anthropic me@example.com", [])
        assert plain(said) == transcript("$ neurolink auth refresh anthropic me@example.com")
        said = at_terminal(shell, "auth logout work", ["y"])
        assert plain(said) == transcript("$ neurolink auth logout work").replace(
            "[y/N]: y", "[y/N]: y"
        )
