from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.accounts.imports.snapshot import snapshot
from tests.cli.logins import kept, neurolink, put
from tests.obfuscated import obfuscate

LOGIN = {
    "type": "claude",
    "access_token": "sk-ant-oat01-test-a",
    "refresh_token": "sk-ant-ort01-test-a",
    "email": "me@example.com",
    "expired": "2099-01-01T00:00:00Z",
}
KEYS = "claude-api-key: [{api-key: sk-ant-api-test-k, headers: {x-team: a}}]\n"


@pytest.fixture
def theirs(home: Path) -> Path:
    place = home / "theirs"
    place.mkdir()
    (place / "claude-me.json").write_text(json.dumps(LOGIN))
    return place


def import_from(program: str, *arguments: object, answers: str = "") -> tuple[int, str, str]:
    result = neurolink("import", "--from", program, *map(str, arguments), answers=answers)
    return result.exit_code, result.stdout, result.stderr


def stored_labels(home: Path) -> list[str]:
    return list(kept(home)) if (home / ".neurolink" / "tokens.json").exists() else []


@contextmanager
def running(home: Path) -> Iterator[int]:
    """The program, as far as its name goes."""
    copy = home / "cli-proxy-api"
    copy.write_bytes(Path("/bin/cat").read_bytes())
    copy.chmod(0o700)
    with subprocess.Popen([str(copy)], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate()


def test_a_login_is_taken_once_the_user_agrees(home: Path, theirs: Path) -> None:
    before = snapshot(theirs)
    code, out, err = import_from("cliproxyapi", "--path", theirs, answers="y\n")
    assert code == 0
    assert "A refresh token can be used once" in err
    assert out == (
        f"CLIProxyAPI ({theirs}):\n  taken: 'me@example.com', login, from claude-me.json\n"
        "1 account taken; a running proxy uses them at once\n"
    )
    assert stored_labels(home) == ["me@example.com"]
    assert snapshot(theirs) == before


@pytest.mark.parametrize(("answers", "code"), [("", 2), ("n\n", 1)], ids=["nobody", "no"])
def test_without_a_yes_nothing_is_done(home: Path, theirs: Path, answers: str, code: int) -> None:
    assert import_from("cliproxyapi", "--path", theirs, answers=answers)[0] == code
    assert stored_labels(home) == []


def test_twice_makes_no_duplicates(home: Path, theirs: Path) -> None:
    """Though the tokens have changed here meanwhile."""
    import_from("cliproxyapi", "--path", theirs, "--yes")
    path = home / ".neurolink" / "tokens.json"
    path.write_text(path.read_text().replace("01-test-a", "01-test-b"))
    code, out, _ = import_from("cliproxyapi", "--path", theirs, "--yes", "--format", "json")
    (left,) = json.loads(out)["left"]
    assert (code, left["reason"]) == (0, "it is in the pool already, as 'me@example.com'")
    assert stored_labels(home) == ["me@example.com"]


def test_keys_are_taken_unasked_and_headers_listed(home: Path, theirs: Path) -> None:
    (theirs / "claude-me.json").unlink()
    (theirs / "config.yaml").write_text(KEYS)
    with running(home):
        code, out, _ = import_from("cliproxyapi", "--path", theirs, "--format", "json")
    report: dict[str, Any] = json.loads(out)
    assert code == 0
    assert [each["label"] for each in report["taken"]] == ["cliproxyapi-key-1"]
    assert report["notTakenOver"] == [
        {"where": "config.yaml, claude-api-key 1", "name": "headers", "value": "x-team"}
    ]


def test_a_program_that_runs_keeps_its_logins_unless_forced(home: Path, theirs: Path) -> None:
    with running(home) as pid:
        code, _, err = import_from("cliproxyapi", "--path", theirs, "--yes")
        assert code == 1
        assert f"CLIProxyAPI runs (process {pid}" in err
        assert stored_labels(home) == []
        assert import_from("cliproxyapi", "--path", theirs, "--yes", "--force")[0] == 0
    assert stored_labels(home) == ["me@example.com"]


def test_a_dry_run_takes_nothing(home: Path, theirs: Path) -> None:
    code, out, _ = import_from("cliproxyapi", "--path", theirs, "--dry-run")
    assert code == 0
    assert "would be taken: 'me@example.com'" in out
    assert stored_labels(home) == []


def test_what_is_not_there_is_one_line(home: Path) -> None:
    for program in ("cliproxyapi", "ccflare", "ccr", "env"):
        code, _, err = import_from(program, "--path", home / "none")
        assert (code, err.count("\n")) == (1, 1), err
        assert str(home / "none") in err


def test_variables_come_from_the_environment_or_a_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api-test-e")
    (home / "vars.env").write_text("CLAUDE_CODE_OAUTH_TOKEN=sk-ant-oat01-test-f\n")
    assert import_from("env")[0] == 0
    assert import_from("env", "--path", home / "vars.env")[0] == 0
    assert stored_labels(home) == ["api-key", "setup-token"]


def test_the_original_in_our_own_home_is_taken_over(home: Path) -> None:
    tokens = {"accessToken": "sk-ant-api-test-o", "expiresAt": 1}
    text = json.dumps({"version": "2.0", "providers": {"anthropic:o": {"tokens": tokens}}})
    put(home, "tokens.json", obfuscate(text, str(home)).decode())
    code, out, _ = import_from("neurolink", "--format", "json")
    assert (code, [each["label"] for each in json.loads(out)["taken"]]) == (0, ["o"])
    again = import_from("neurolink")[1]
    assert "nothing to take over" in again


def test_the_original_elsewhere_is_imported(home: Path) -> None:
    other = home / "other"
    other.mkdir()
    tokens = {"accessToken": "sk-ant-api-test-o", "expiresAt": 9007199254740991}
    text = json.dumps({"version": "2.0", "providers": {"anthropic:o": {"tokens": tokens}}})
    (other / "tokens.json").write_bytes(obfuscate(text, os.environ["HOME"]))
    assert import_from("neurolink", "--path", other)[0] == 0
    assert stored_labels(home) == ["o"]
