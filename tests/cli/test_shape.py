"""`neurolink shape`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.cli import main
from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer

CONFIG = """
accounts:
  anthropic:
    - {name: plan, apiKey: "${PLAN}"}
    - {name: key, apiKey: "${KEY}"}
cloaking:
  plugins:
    wordObfuscator: {words: [bluebird]}
"""
BODY = '{"model":"claude-x","messages":[{"role":"user","content":"bluebird"}]}'


@pytest.fixture
def request_file(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PLAN", "sk-ant-oat-test-plan")
    monkeypatch.setenv("KEY", "sk-ant-test-key")
    place = home / ".neurolink"
    place.mkdir(mode=0o700)
    (place / "proxy-config.yaml").write_text(CONFIG)
    path = tmp_path / "request.json"
    path.write_text(BODY)
    return path


def shape(*arguments: object, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, ["shape", *map(str, arguments)], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "sk-ant" not in result.output
    return result


def test_the_difference_and_what_would_be_sent(request_file: Path) -> None:
    shown = shape(request_file, "-H", "via: office", "-H", "user-agent: claude-cli/2")
    assert shown.exit_code == 0
    assert "account   plan (oauth)" in shown.stdout
    assert "replaced  1 word" in shown.stdout
    assert "-via: office" in shown.stdout
    assert '-      "content": "bluebird"' in shown.stdout
    sent = shown.stdout.partition("What would be sent:\n")[2]
    assert sent.startswith("user-agent: claude-cli/2\n{")
    assert "bluebird" not in sent


def test_nothing_is_sent(request_file: Path, home: Path) -> None:
    with SandboxServer([Account("plan", "sk-ant-oat-test-plan", "oauth")]) as upstream:
        config = home / ".neurolink" / "proxy-config.yaml"
        config.write_text(f"defaultBaseUrl: {upstream.url}\n{CONFIG}")
        assert shape(request_file).exit_code == 0
        assert upstream.requests == []


def test_for_another_account(request_file: Path) -> None:
    shown = shape(request_file, "--account", "key").stdout
    assert "plugins   none, by mode auto" in shown
    assert "goes out byte for byte as it came" in shown
    assert shown.endswith(f"{BODY}\n")


def test_the_same_for_programs(request_file: Path) -> None:
    report = json.loads(shape("-", "--format", "json", stdin=BODY).stdout)
    assert report["changed"] is True
    assert report["plugins"] == ["headerScrubber", "sessionIdentity", "wordObfuscator"]
    assert "bluebird" not in report["body"]


@pytest.mark.parametrize(
    ("arguments", "body", "says"),
    [
        (["--account", "x"], BODY, "no account is called x; there are plan, key"),
        ([], "{", "no Messages request: the body is not valid JSON"),
        ([], "{}", "no Messages request: "),
    ],
    ids=["account", "text", "empty"],
)
def test_bad_usage(request_file: Path, arguments: list[str], body: str, says: str) -> None:
    result = shape("-", *arguments, stdin=body)
    assert result.exit_code == 2
    assert says in result.stderr


def test_what_would_be_refused(request_file: Path) -> None:
    result = shape("-", stdin=BODY[:-1] + ',"stream":true,"stream":true}')
    assert result.exit_code == 1
    assert "nothing would be sent: its body is no JSON" in result.stderr


def test_without_an_account(home: Path) -> None:
    result = shape("-", stdin=BODY)
    assert result.exit_code == 1
    assert "neurolink auth login" in result.stderr
