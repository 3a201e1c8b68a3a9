"""Logins and keys that are pasted into the page Accounts: what is stored, what is refused, and that nothing leaks."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.settings.values import Config, OAuth
from neurolink_mitm.records.audit import changes
from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.logins import code_from
from tests.dashboard.acts import Answer, act, take_back
from tests.dashboard.harness import Served, served
from tests.flows.harness import Proxy

KEY = "sk-ant-test-k"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    """Upstream and login page; two accounts can log in, and one key is good."""
    logins = [Account(name, f"sk-ant-oat-test-{name}", "oauth") for name in ("gamma", "delta")]
    with SandboxServer([*logins, Account("k", KEY)]) as server:
        yield server


@pytest.fixture(scope="module")
def running(sandbox: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    url = sandbox.url
    oauth = OAuth(authorize_url=f"{url}/oauth/authorize", token_urls=(f"{url}/v1/oauth/token",))
    proxy = Proxy([], Config(oauth=oauth, default_base_url=url))
    with served(proxy, tmp_path_factory.mktemp("dashboard")) as dashboard:
        yield dashboard


@pytest.fixture
def home(running: Served, sandbox: SandboxServer) -> Home:
    """Its home, with nothing stored."""
    running.home.tokens.unlink(missing_ok=True)
    for path in running.home.logs.glob("audit-*"):
        path.unlink()
    sandbox.script_tokens(Reply())
    return running.home


@pytest.fixture
def client(running: Served, home: Home) -> Iterator[httpx.Client]:
    with running.signed_in() as client:
        yield client


def stored(home: Home) -> dict[str, StoredAccount]:
    return {each.label: each for each in TokenStore(home).read().stored}


def begun(client: httpx.Client, **fields: str) -> tuple[str, str]:
    """The id of a new login, and the address of its page."""
    answer = act(client, "login-begin", **fields)
    assert answer.done, answer.text
    assert "refresh-add-account" in answer.refresh
    return pending(client)[0]


def pending(client: httpx.Client) -> list[tuple[str, str]]:
    page = client.get("/parts/add-account").text
    urls = re.findall(r'<a href="([^"]+)" target="_blank" rel="noopener noreferrer">', page)
    ids = re.findall(r'name="login" value="([^"]+)"', page)[::2]
    return list(zip(ids, map(html.unescape, urls), strict=True))


def finish(client: httpx.Client, login: str, code: str) -> Answer:
    answer = act(client, "login-finish", login=login, code=code)
    assert code.partition("#")[0] not in answer.text or len(code) < 5, "it is not echoed"
    return answer


def test_a_login_is_stored_and_can_be_taken_back(client: httpx.Client, home: Home) -> None:
    id_, url = begun(client, label="work")
    answer = finish(client, id_, code_from(url))
    assert answer.text == "login stored as 'work'"
    account = stored(home)["work"]
    assert (account.email, account.refresh_token is not None) == ("gamma@example.com", True)
    assert pending(client) == []
    [row] = changes(home.logs, 9)
    assert (row["actor"], row["action"], row["target"], row["before"]) == (
        "dashboard",
        "login",
        "work",
        None,
    )
    assert take_back(client, answer).done
    assert stored(home) == {}


def test_without_a_label_it_is_called_by_its_mail(client: httpx.Client, home: Home) -> None:
    id_, url = begun(client)
    assert finish(client, id_, code_from(url)).done
    assert [*stored(home)] == ["gamma@example.com"]


def test_a_code_is_good_once(client: httpx.Client, home: Home) -> None:
    id_, url = begun(client, label="work")
    code = code_from(url)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: finish(client, id_, code), range(4)))
    assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
    again = finish(client, id_, code)
    assert again.text == "this login is over: begin another one"
    another, _ = begun(client, label="more")
    assert "belongs to another login attempt" in finish(client, another, code).text


def test_a_login_is_finished_by_the_session_that_has_begun_it(
    client: httpx.Client, running: Served, home: Home
) -> None:
    id_, url = begun(client, label="work")
    with running.signed_in() as another:
        assert pending(another) == []
        assert finish(another, id_, code_from(url)).text == "this login is over: begin another one"
        assert act(another, "login-cancel", login=id_).status == 409
    assert stored(home) == {}
    assert finish(client, id_, code_from(url)).done


def test_two_logins_at_once(client: httpx.Client, home: Home) -> None:
    first, first_url = begun(client, label="one")
    second, second_url = begun(client, label="two")
    wrong = finish(client, first, code_from(second_url))
    assert (wrong.status, "belongs to another login attempt" in wrong.text) == (409, True)
    assert finish(client, second, code_from(second_url + "&login_hint=delta")).done
    assert finish(client, first, code_from(first_url)).done
    assert {label: each.email for label, each in stored(home).items()} == {
        "one": "gamma@example.com", "two": "delta@example.com",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("", "there is no code in it"),
        ("nonsense-code", "was not accepted"),
        ("x#another-state", "belongs to another login attempt"),
        ("https://x.example/?error=access_denied", "was refused"),
        ("ünicode-code", "no such characters"),
        ("c" * 100_000, "was not accepted"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_wrong_code_can_be_followed_by_a_good_one(
    client: httpx.Client, home: Home, code: str, text: str
) -> None:
    id_, url = begun(client, label="work")
    refused = finish(client, id_, code)
    assert (refused.status, text in refused.text) == (409, True), refused.text
    assert changes(home.logs, 9) == []
    assert finish(client, id_, code_from(url)).done


def test_after_five_wrong_codes_it_is_over(client: httpx.Client, home: Home) -> None:
    id_, url = begun(client)
    for _ in range(5):
        finish(client, id_, "nope")
    assert finish(client, id_, code_from(url)).text == "this login is over: begin another one"


def test_a_token_endpoint_that_is_down(
    client: httpx.Client, home: Home, sandbox: SandboxServer
) -> None:
    id_, url = begun(client, label="work")
    sandbox.script_tokens(Reply(503, html=True))
    refused = finish(client, id_, code_from(url))
    assert (refused.status, "503" in refused.text) == (409, True)
    sandbox.script_tokens(Reply())
    assert finish(client, id_, code_from(url)).done


def test_a_login_that_is_cancelled(client: httpx.Client, home: Home) -> None:
    id_, url = begun(client)
    assert act(client, "login-cancel", login=id_).text == "nothing was stored"
    assert finish(client, id_, code_from(url)).status == 409
    assert stored(home) == {}


# --- again


@pytest.fixture
def two(home: Home, client: httpx.Client) -> dict[str, StoredAccount]:
    """The accounts gamma and delta, logged in."""
    for name in ("gamma", "delta"):
        id_, url = begun(client, label=name)
        assert finish(client, id_, code_from(f"{url}&login_hint={name}")).done
    return stored(home)


def test_a_login_is_renewed(
    client: httpx.Client, home: Home, two: dict[str, StoredAccount]
) -> None:
    TokenStore(home).disable("gamma", "needs login: x", 0)
    id_, url = begun(client, account="anthropic:gamma")
    answer = finish(client, id_, code_from(url))
    assert (answer.text, answer.undo) == ("login renewed as 'gamma'", None)
    now = stored(home)["gamma"]
    assert now.disabled is None
    assert now.access_token != two["gamma"].access_token


def test_another_account_is_not_taken_for_the_one_that_is_renewed(
    client: httpx.Client, home: Home, two: dict[str, StoredAccount]
) -> None:
    id_, url = begun(client, account="gamma")
    refused = finish(client, id_, code_from(url + "&login_hint=delta"))
    assert (refused.status, "'delta', not 'gamma'" in refused.text) == (409, True)
    act(client, "remove", account="delta")
    refused = finish(client, id_, code_from(url + "&login_hint=delta"))
    assert "another account than 'gamma'" in refused.text
    assert stored(home) == {"gamma": two["gamma"]}
    assert finish(client, id_, code_from(url)).done


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"label": "gamma"}, "there is an account 'gamma' already"),
        ({"label": "x" * 65}, "a label must be 1 to 64"),
        ({"label": "a\nb"}, "a label must be"),
        ({"account": "nobody"}, "no account 'nobody' is stored"),
    ],
    ids=["taken", "long", "lines", "unknown"],
)
def test_what_can_not_become_of_a_login_is_said_before_it(
    client: httpx.Client, two: dict[str, StoredAccount], fields: dict[str, str], text: str
) -> None:
    for action in ("login-begin", "add-key"):
        refused = act(client, action, key=KEY, **fields)
        assert (refused.status, text in refused.text) == (409, True), refused.text
    assert pending(client) == []


# --- keys


def test_a_key_is_tried_and_stored(client: httpx.Client, home: Home) -> None:
    answer = act(client, "add-key", key=f" {KEY}\n", label="ci")
    assert answer.text == "API key stored as 'ci'"
    assert stored(home)["ci"].access_token.reveal() == KEY
    assert take_back(client, answer).done
    assert stored(home) == {}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("", "must not be empty"),
        ("hunter2-hunter2", "an API key starts with sk-ant-"),
        ("sk-ant-ort-test-x", "token of a login"),
        ("sk-ant-test-wrong", "was not accepted"),
        ("sk-ant-tést", "printable ASCII"),
        ("sk-ant-api-".ljust(4097, "x"), "4096 characters at most"),
        ("sk-ant-oat-".ljust(4097, "x"), "4096 characters at most"),
    ],
    ids=["empty", "other", "refresh token", "wrong", "unicode", "long", "long token"],
)
def test_a_key_that_is_none(client: httpx.Client, home: Home, key: str, text: str) -> None:
    refused = act(client, "add-key", key=key)
    assert (refused.status, text in refused.text) == (409, True), refused.text
    assert not key or key not in refused.text
    assert stored(home) == {}
    assert changes(home.logs, 9) == []


@pytest.mark.parametrize("label", ["x" * 65, "a\nb"], ids=["long", "two lines"])
def test_a_label_is_checked_as_by_the_command(client: httpx.Client, home: Home, label: str) -> None:
    for name, fields in (("add-key", {"key": KEY, "untried": "yes"}), ("login-begin", {})):
        refused = act(client, name, label=label, **fields)
        assert (refused.status, "printable characters" in refused.text) == (409, True)
    assert stored(home) == {}
    assert pending(client) == []


def test_a_key_can_be_stored_untried_and_replaced(client: httpx.Client, home: Home) -> None:
    label = "anthropic:ci"  # as files and `/status` name it
    assert act(client, "add-key", key="sk-ant-test-old", label=label, untried="yes").done
    assert act(client, "add-key", key=KEY, account="ci").text == "API key renewed as 'ci'"
    assert stored(home)["ci"].access_token.reveal() == KEY
    assert len(stored(home)) == 1


def test_a_long_lived_token_is_stored(client: httpx.Client, home: Home) -> None:
    answer = act(client, "add-key", key="sk-ant-oat-test-gamma")
    assert answer.text.startswith("login stored as 'setup-token'; it was not tried")
    assert stored(home)["setup-token"].type == "oauth"


def test_nothing_that_was_pasted_is_shown_again(client: httpx.Client, home: Home) -> None:
    act(client, "add-key", key=KEY, label="ci")
    id_, url = begun(client)
    finish(client, id_, code_from(url))
    shown: list[Any] = [
        client.get(f"/parts/{part}").text for part in ("accounts", "add-account", "changes")
    ]
    logged = "".join(path.read_text() for path in home.logs.glob("*.jsonl"))
    for secret in (each.access_token.reveal() for each in stored(home).values()):
        assert secret not in "".join(shown) + logged


def test_a_store_that_can_not_be_written_is_reported(client: httpx.Client, home: Home) -> None:
    home.tokens.write_text("{")
    refused = act(client, "add-key", key=KEY, label="ci")
    assert (refused.status, "broken" in refused.text) == (409, True)
