from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.cli.auth import methods as auth_methods
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.state import KEY_ENDPOINT
from tests.cli.logins import code_from, entry, kept, neurolink, page_in, put, settings, stored

KEY = "sk-ant-test-beta"


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server


@pytest.fixture(autouse=True)
def config(home: Path, sandbox: SandboxServer) -> Path:
    return put(home, "proxy-config.yaml", settings(sandbox.url))


@pytest.fixture
def pasting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who is asked for a code pastes these first, and then the one that the login page shows."""
    wrong: list[str] = []
    said: list[str] = []

    def paste(question: str) -> str:
        return wrong.pop(0) if wrong else code_from(page_in("\n".join(said)))

    monkeypatch.setattr(auth_methods, "ask_hidden", paste)
    monkeypatch.setattr(auth_methods, "say", said.append)
    return wrong


def log_in(*arguments: str, answers: str = "") -> tuple[int, str, str]:
    result = neurolink("login", "anthropic", *arguments, answers=answers)
    return result.exit_code, result.stdout, result.stderr


def test_a_login_is_stored_with_whose_it_is(home: Path, pasting: list[str]) -> None:
    code, out, _ = log_in("--label", "work")
    assert (code, out.startswith("login of gamma@example.com stored as 'work'")) == (0, True)
    found = kept(home)["work"]
    assert found["account"]["organizationName"] == "gamma's organization"
    assert found["tokens"]["refreshToken"].startswith("sk-ant-ort-")


def test_without_a_label_it_is_called_by_its_e_mail(home: Path, pasting: list[str]) -> None:
    log_in()
    assert [*kept(home)] == ["gamma@example.com"]


def test_json_holds_the_account_and_no_secret(pasting: list[str]) -> None:
    report = json.loads(log_in("--format", "json")[1])
    assert report["label"] == "gamma@example.com"
    assert report["replaced"] is False


def test_the_same_account_is_renewed(home: Path, pasting: list[str]) -> None:
    log_in("--label", "work")
    before = kept(home)["work"]["tokens"]["accessToken"]
    _, out, _ = log_in()
    assert "renewed as 'work'" in out
    assert [*kept(home)] == ["work"]
    assert kept(home)["work"]["tokens"]["accessToken"] != before


def test_the_same_account_moves_to_another_label(home: Path, pasting: list[str]) -> None:
    log_in("--label", "work")
    assert "until now 'work'" in log_in("--label", "office")[1]
    assert [*kept(home)] == ["office"]


def test_a_login_ends_a_disabled_mark(home: Path, pasting: list[str]) -> None:
    log_in("--label", "work")
    neurolink("disable", "work")
    log_in()
    assert not kept(home)["work"].get("disabled")


@pytest.mark.parametrize("wrong", [["nonsense"], ["a#b", ""]], ids=["once", "twice"])
def test_a_wrong_code_is_asked_for_again(home: Path, pasting: list[str], wrong: list[str]) -> None:
    pasting += wrong
    assert log_in()[0] == 0
    assert len(kept(home)) == 1


def test_three_wrong_codes_end_it(home: Path, pasting: list[str]) -> None:
    pasting += ["nope"] * 3
    code, _, complained = log_in()
    assert (code, "start over with: neurolink auth login anthropic" in complained) == (1, True)
    assert not (home / ".neurolink" / "tokens.json").exists()


def test_a_token_endpoint_that_fails_is_told_of(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch, pasting: list[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr(auth_methods, "say", said.append)
    pasting += ["code-test-hunter2"] * 3
    sandbox.script_tokens(Reply(503, html=True))
    assert log_in()[0] == 1
    assert "503" in said[-1]
    assert "hunter2" not in "".join(said)


def test_beside_others_it_asks(home: Path) -> None:
    stored(home, {"work": entry("sk-ant-oat-test-1", uuid="1")})
    code, _, complained = log_in("-m", "api-key", answers=f"{KEY}\nn\n")
    assert (code, [*kept(home)]) == (1, ["work"])
    assert "The pool has 1 account (work). Add 'api-key' beside it? [Y/n]" in complained
    assert log_in("-m", "api-key", answers=f"{KEY}\n\n")[0] == 0
    assert [*kept(home)] == ["work", "api-key"]


def test_add_asks_nothing(home: Path) -> None:
    stored(home, {"work": entry("sk-ant-oat-test-1", uuid="1")})
    assert log_in("-m", "api-key", "--add", "--label", "ci", answers=f"{KEY}\n")[0] == 0
    assert kept(home)["ci"]["type"] == "api_key"


def test_non_interactive_takes_the_key_of_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, complained = log_in("-m", "api-key", "--non-interactive")
    assert (code, "needs ANTHROPIC_API_KEY" in complained) == (2, True)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    assert log_in("-m", "api-key", "--non-interactive")[0] == 0
    stored(home, {"work": entry("sk-ant-oat-test-1", uuid="1")})
    code, _, complained = log_in("-m", "api-key", "--non-interactive")
    assert (code, "pass --add" in complained) == (2, True)


def test_a_key_that_the_api_refuses_is_not_stored(home: Path) -> None:
    code, _, complained = log_in("-m", "api-key", answers="sk-ant-api-nope\n")
    assert (code, "the key was not accepted" in complained) == (1, True)
    assert not (home / ".neurolink" / "tokens.json").exists()
    assert log_in("-m", "api-key", "--no-verify", answers="sk-ant-api-nope\n")[0] == 0


def test_a_key_is_tried_where_its_account_is_configured(home: Path, sandbox: SandboxServer) -> None:
    own = "accounts: {anthropic: [{name: ci, baseUrl: 'http://127.0.0.1:1'}]}\n"
    put(home, "proxy-config.yaml", settings(sandbox.url) + own)
    code, _, complained = log_in("-m", "api-key", "--label", "ci", answers=f"{KEY}\n")
    assert (code, "could not be tried" in complained) == (1, True)
    assert log_in("-m", "api-key", "--label", "other", answers=f"{KEY}\n")[0] == 0


def test_a_configured_key_of_the_same_name_is_pointed_out(
    home: Path, sandbox: SandboxServer
) -> None:
    own = "accounts: {anthropic: [{name: ci, apiKey: sk-ant-test-other}]}\n"
    put(home, "proxy-config.yaml", settings(sandbox.url) + own)
    complained = log_in("-m", "api-key", "--label", "ci", answers=f"{KEY}\n")[2]
    assert "the configuration has an apiKey of its own for 'ci'" in complained


@pytest.mark.parametrize(
    ("method", "text", "words"),
    [
        pytest.param("api-key", "hunter2", "starts with sk-ant-", id="no key"),
        pytest.param("api-key", "sk-ant-oat01-x", "--method setup-token", id="a login's token"),
        pytest.param("api-key", "", "must not be empty", id="empty"),
        pytest.param("api-key", "sk-ant-ä hunter2", "printable ASCII", id="characters"),
        pytest.param("setup-token", "sk-ant-api-x", "run: claude setup-token", id="a key"),
    ],
)
def test_what_has_another_form_is_refused(method: str, text: str, words: str) -> None:
    code, _, complained = log_in("-m", method, answers=f"{text}\n")
    assert (code, words in complained) == (2, True), complained
    assert "hunter2" not in complained


def test_a_setup_token_is_stored_without_a_refresh_token(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, complained = log_in("-m", "setup-token", answers="sk-ant-oat01-x\n")
    assert (code, "can't be refreshed" in complained) == (0, True)
    assert "refreshToken" not in kept(home)["setup-token"]["tokens"]
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-y")
    assert log_in("-m", "setup-token", "--add", "--non-interactive")[0] == 0
    assert [*kept(home)] == ["setup-token", "setup-token-2"]


def test_a_code_can_not_be_pasted_by_nobody() -> None:
    code, _, complained = log_in("--non-interactive")
    assert (code, "ANTHROPIC_API_KEY" in complained) == (2, True)


def test_an_illegal_label_is_found_before_the_login() -> None:
    code, _, complained = log_in("--label", " x")
    assert (code, "must be 1 to 64 printable characters" in complained) == (2, True)


def test_a_broken_store_is_found_before_the_login(home: Path) -> None:
    put(home, "tokens.json", "{")
    code, _, complained = log_in()
    assert (code, "move it away and log in again" in complained) == (1, True)
    assert "authorize" not in complained


def test_a_broken_configuration_is_told_of(config: Path) -> None:
    config.write_text("oauth: {token-urls: []}\n")
    code, _, complained = log_in()
    assert (code, "the configuration can't be used" in complained) == (2, True)


def test_a_key_is_created_through_a_login(home: Path, pasting: list[str]) -> None:
    code, out, _ = log_in("-m", "create-api-key")
    name = "gamma@example.com-key"
    assert (code, f"API key of gamma@example.com stored as '{name}'" in out) == (0, True)
    found = kept(home)[name]
    assert found["tokens"]["accessToken"] == "sk-ant-api-test-gamma-key-1"
    assert not found["account"].get("uuid")


def test_a_login_that_may_not_create_keys_says_so(
    home: Path, sandbox: SandboxServer, pasting: list[str]
) -> None:
    sandbox.script(KEY_ENDPOINT, Reply(403))
    code, _, complained = log_in("-m", "create-api-key")
    assert (code, "--method api-key" in complained) == (1, True)
    assert not (home / ".neurolink" / "tokens.json").exists()
