from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.oauth import KEY_PATH
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.state import KEY_ENDPOINT
from tests.sandbox.asking import BY_TOKEN, KEY, REFRESH, TOKEN, VERSION, message

# https://www.rfc-editor.org/rfc/rfc7636#appendix-B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CONSOLE = "https://console.anthropic.com/oauth/code/callback"
LOCAL = "http://localhost:54545/callback"
CLIENT = "9d1c250a-e61b-44d9-88ed-5944d1962f5e"


@pytest.fixture
def web(sandbox: SandboxServer) -> Any:
    with httpx.Client(base_url=sandbox.url, timeout=5) as client:
        yield client


def authorize(web: httpx.Client, **changes: str) -> httpx.Response:
    query = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": LOCAL,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "state": "st&te",
    }
    return web.get("/oauth/authorize", params=query | changes)


def exchange(web: httpx.Client, code: str, **changes: str) -> httpx.Response:
    body = {
        "grant_type": "authorization_code",
        "code": code,
        "client_id": CLIENT,
        "redirect_uri": LOCAL,
        "code_verifier": VERIFIER,
    }
    return web.post("/v1/oauth/token", json=body | changes)


def refresh(web: httpx.Client, token: str = REFRESH) -> httpx.Response:
    body = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT}
    return web.post("/v1/oauth/token", json=body)


def ask(web: httpx.Client, access_token: str) -> int:
    headers = {**BY_TOKEN, "authorization": f"Bearer {access_token}"}
    return web.post("/v1/messages", json=message(), headers=headers).status_code


def code_of(response: httpx.Response) -> str:
    return parse_qs(urlsplit(response.headers["location"]).query)["code"][0]


def test_a_login_leads_back_to_this_machine(web: httpx.Client) -> None:
    response = authorize(web)
    query = parse_qs(urlsplit(response.headers["location"]).query)
    assert response.status_code == 302
    assert response.headers["location"].startswith(f"{LOCAL}?")
    assert query["state"] == ["st&te"]


def test_a_login_elsewhere_shows_the_code_to_paste(web: httpx.Client) -> None:
    response = authorize(web, redirect_uri=CONSOLE, state="<b>")
    code, _, state = response.text.split('<pre id="code">')[1].split("</pre>")[0].partition("#")
    assert (response.status_code, state) == (200, "&lt;b&gt;")
    assert exchange(web, code, redirect_uri=CONSOLE).status_code == 200


def test_a_code_is_exchanged_for_tokens_that_work(web: httpx.Client) -> None:
    tokens = exchange(web, code_of(authorize(web))).json()
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 28_800
    assert tokens["account"]["email_address"] == "o@example.com"
    assert ask(web, tokens["access_token"]) == 200
    assert refresh(web, tokens["refresh_token"]).status_code == 200


def test_a_wrong_verifier_gets_nothing(web: httpx.Client) -> None:
    response = exchange(web, code_of(authorize(web)), code_verifier="x" * 43)
    assert response.status_code == 400
    assert response.json() == {
        "error": "invalid_grant",
        "error_description": "PKCE verification failed",
    }


def test_a_code_is_good_once(web: httpx.Client) -> None:
    code = code_of(authorize(web))
    assert [exchange(web, code).status_code for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"response_type": "token"}, id="response_type"),
        pytest.param({"code_challenge_method": "plain"}, id="plain PKCE"),
        pytest.param({"login_hint": "nobody"}, id="unknown account"),
        pytest.param({"login_hint": "a"}, id="an API key has no login"),
    ],
)
def test_a_faulty_login_is_refused(web: httpx.Client, changes: dict[str, str]) -> None:
    assert authorize(web, **changes).status_code == 400


def test_a_login_says_what_is_missing(web: httpx.Client) -> None:
    response = web.get("/oauth/authorize")
    assert response.status_code == 400
    assert "client_id, code_challenge, redirect_uri" in response.text


def test_refreshed_tokens_replace_the_old(web: httpx.Client) -> None:
    tokens = refresh(web).json()
    assert ask(web, tokens["access_token"]) == 200
    assert refresh(web).json()["error"] == "invalid_grant"
    assert refresh(web, tokens["refresh_token"]).status_code == 200


def test_an_expired_token_is_refused_until_refreshed(
    sandbox: SandboxServer, web: httpx.Client
) -> None:
    token = BY_TOKEN["authorization"].removeprefix("Bearer ")
    assert ask(web, token) == 200
    sandbox.expire("o")
    assert ask(web, token) == 401
    assert ask(web, refresh(web).json()["access_token"]) == 200


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"grant_type=refresh_token", id="a form"),
        pytest.param(b'{"grant_type": "password", "client_id": "c"}', id="another grant"),
        pytest.param(b'{"grant_type": "refresh_token"}', id="no client"),
    ],
)
def test_a_faulty_token_request_is_refused(web: httpx.Client, body: bytes) -> None:
    response = web.post("/v1/oauth/token", content=body)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"


def test_a_failing_token_endpoint_keeps_the_refresh_token(
    sandbox: SandboxServer, web: httpx.Client
) -> None:
    sandbox.script_tokens(Reply(503), Reply())
    assert [refresh(web).status_code for _ in range(2)] == [503, 200]


def test_an_answer_of_the_token_endpoint_can_be_lost(
    sandbox: SandboxServer, web: httpx.Client
) -> None:
    sandbox.script_tokens(Reply(cut_after=1), Reply())
    with pytest.raises(httpx.RemoteProtocolError):
        refresh(web)
    assert refresh(web).json()["error"] == "invalid_grant"


def test_a_revoked_account_needs_a_login(sandbox: SandboxServer, web: httpx.Client) -> None:
    sandbox.revoke("o")
    assert refresh(web).json()["error"] == "invalid_grant"
    tokens = exchange(web, code_of(authorize(web))).json()
    assert ask(web, tokens["access_token"]) == 200


def create(sandbox: SandboxServer, **headers: str) -> httpx.Response:
    return httpx.post(f"{sandbox.url}{KEY_PATH}", json={}, headers=headers, timeout=5)


def by_login(sandbox: SandboxServer) -> httpx.Response:
    return create(sandbox, authorization=f"Bearer {TOKEN}")


def test_a_created_key_works_and_has_a_name(sandbox: SandboxServer) -> None:
    keys = [by_login(sandbox).json()["raw_key"] for _ in range(2)]
    assert len(set(keys)) == 2
    for key, name in zip(keys, ("o-key-1", "o-key-2"), strict=True):
        shown = {"x-api-key": key, **VERSION}
        answer = httpx.post(f"{sandbox.url}/v1/messages", json=message(), headers=shown, timeout=5)
        assert answer.status_code == 200
        assert sandbox.requests[-1].account == name


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": KEY}, {"authorization": f"Bearer {KEY}"}, {"authorization": "Bearer no"}],
    ids=["nobody", "a key", "a key as bearer", "unknown"],
)
def test_only_a_login_creates_keys(sandbox: SandboxServer, headers: dict[str, str]) -> None:
    answer = create(sandbox, **headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")


def test_an_expired_login_creates_none(sandbox: SandboxServer) -> None:
    sandbox.expire("o")
    assert by_login(sandbox).status_code == 401


def test_a_script_may_refuse_it(sandbox: SandboxServer) -> None:
    sandbox.script(KEY_ENDPOINT, Reply(403))
    assert by_login(sandbox).json()["error"]["type"] == "permission_error"
