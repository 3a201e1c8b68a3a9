"""What a start prints; each line that it proposes works."""

from __future__ import annotations

import re
from typing import Any

import pytest

from neurolink_mitm.cli.proxy.serve import StartInfo
from neurolink_mitm.cli.proxy.serve import greeting as greet
from neurolink_mitm.config.document import parse
from neurolink_mitm.core.auth.access import ClientKey
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from tests.fakes import make_account, make_other, make_runtime


def greeting(*accounts: Account, info: StartInfo = StartInfo(), **changes: Any) -> str:  # noqa: B008
    """What a start with this runtime says."""
    return greet(make_runtime(*accounts, **changes), info)


def test_it_says_what_a_newer_python_would_bring() -> None:
    assert "\nNote: mitmproxy 12\n" in greeting(info=StartInfo(missed="mitmproxy 12"))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:55669"),
        ("localhost", "http://localhost:55669"),
        ("0.0.0.0", "http://127.0.0.1:55669"),  # noqa: S104 - a text to be turned into a URL
        ("", "http://127.0.0.1:55669"),
        ("::1", "http://[::1]:55669"),
        ("::", "http://[::1]:55669"),
    ],
)
def test_the_address_is_one_that_can_be_asked(host: str, url: str) -> None:
    assert f"\n  export ANTHROPIC_BASE_URL={url}\n" in greeting(host=host)


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 accounts"), (1, "1 account"), (2, "2 accounts")]
)
def test_accounts_are_counted(count: int, words: str) -> None:
    accounts = [make_account(str(n)) for n in range(count)]
    assert f"(fill-first, {words})" in greeting(*accounts).splitlines()[0]


def test_the_strategy_is_that_of_the_pool() -> None:
    assert "(round-robin, " in greeting(pool=Pool([], "round-robin"))


def test_passthrough_needs_no_account() -> None:
    said = greeting(passthrough=True)
    assert "(passthrough, each caller's own credentials)" in said
    assert "No account yet" not in said
    assert "-H 'x-api-key: <your API key>'" in said
    assert "ANTHROPIC_AUTH_TOKEN" not in said


@pytest.mark.parametrize("guarded", [True, False])
def test_a_client_key_is_named_where_it_is_asked_for(guarded: bool) -> None:
    said = greeting(make_account(), clients=(ClientKey("laptop", "0" * 64, 0),) if guarded else ())
    assert ("\n  export ANTHROPIC_AUTH_TOKEN=<client key>" in said) is guarded
    assert ("-H 'x-api-key: <client key>'" in said) is guarded


def test_the_page_is_named() -> None:
    url = "http://127.0.0.1:8081/?token=abc"
    assert f"\nWatch it in a browser: {url}\n" in greeting(info=StartInfo(web_url=url))


LOGIN = make_account("plan", type="oauth")
CURL = "Or try it by hand:"


@pytest.mark.parametrize(
    ("accounts", "curl"),
    [
        ([make_account()], True),
        ([LOGIN], False),
        ([LOGIN, make_account()], True),
        ([make_account(enabled=False)], False),
        ([make_account(disabled="by hand")], False),
        ([], False),
    ],
    ids=["key", "login", "both", "not enabled", "disabled", "none"],
)
def test_a_curl_is_proposed_where_somebody_serves_it(accounts: list[Account], curl: bool) -> None:
    said = greeting(*accounts)
    assert (CURL in said) is curl
    assert ("--add --method api-key" in said) is (not curl and bool(accounts))


def test_it_asks_for_a_model_that_is_not_excluded() -> None:
    said = greeting(make_account(excluded_models=("claude-sonnet-*",)))
    assert "claude-sonnet" not in said
    assert re.search(r'"model":"claude-[a-z]+-', said)


def test_a_fallback_serves_a_curl_too() -> None:
    chain = [{"provider": "openai", "model": "gpt-x"}]
    config = parse({"version": 1, "routing": {"fallbackChain": chain}}, {}).config
    assert CURL in greeting(pool=Pool([LOGIN], fallbacks=[make_other()]), config=config)
    without_key = make_other(disabled="OPENAI_API_KEY is not set")
    assert CURL not in greeting(pool=Pool([LOGIN], fallbacks=[without_key]), config=config)


def test_without_an_account_it_says_how_to_add_one() -> None:
    said = greeting(info=StartInfo(program=".venv/bin/neurolink"))
    assert "No account yet: run `.venv/bin/neurolink auth login anthropic` " in said
    assert "--method api-key" in said


@pytest.mark.parametrize("has_login", [True, False])
def test_a_token_is_proposed_to_a_claude_code_that_has_none(has_login: bool) -> None:
    said = greeting(make_account(), info=StartInfo(claude_logged_in=has_login))
    assert ("\n  export ANTHROPIC_AUTH_TOKEN=neurolink\n" in said) is not has_login


def test_no_line_to_paste_has_a_comment() -> None:
    """An interactive zsh takes no comments."""
    said = greeting(make_account(), info=StartInfo(sandbox="this is the sandbox"))
    assert [line for line in said.splitlines() if "#" in line] == []
