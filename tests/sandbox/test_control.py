import httpx
import pytest

from neurolink_mitm.sandbox.server import SandboxServer
from tests.sandbox.asking import Post


def test_requests_are_told(client: httpx.Client, post: Post) -> None:
    response = post()
    (told,) = client.get("/sandbox/requests").json()
    assert (told["method"], told["path"], told["account"]) == ("POST", "/v1/messages", "a")
    assert (told["status"], told["disconnected"], told["done"]) == (200, False, True)
    assert '"Hello"' in told["body"]
    assert told["answer"] == response.text
    assert ["x-api-key", "sk-ant-test-a"] in told["headers"]


def test_accounts_are_told(client: httpx.Client, post: Post) -> None:
    post()
    by_key, login = client.get("/sandbox/accounts").json()
    assert by_key == {
        "name": "a",
        "kind": "api_key",
        "served": 1,
        "credential": "sk-ant-test-a",
    }
    assert (login["credential"], login["refresh_token"]) == (
        "sk-ant-oat-test-o",
        "sk-ant-ort-test-o",
    )
    assert 3500 < login["expires_in"] <= 3600


def test_a_script_is_put(client: httpx.Client, post: Post) -> None:
    response = client.put("/sandbox/accounts/a/script", json=[{"status": 429}, {}])
    assert response.json() == {"account": "a", "steps": 2, "loop": False}
    assert [post().status_code for _ in range(3)] == [429, 200, 200]


def test_the_token_endpoint_has_a_script(sandbox: SandboxServer, client: httpx.Client) -> None:
    client.put("/sandbox/accounts/oauth/token/script", json=[{"status": 503}])
    assert client.post("/v1/oauth/token", json={}).status_code == 503


@pytest.mark.parametrize(
    ("name", "script", "status", "error"),
    [
        pytest.param("a", [{"stauts": 1}], 400, "Reply has no field stauts", id="misspelt"),
        pytest.param("nobody", [{}], 404, "the sandbox has no account 'nobody'", id="unknown"),
    ],
)
def test_a_faulty_script_is_refused(
    client: httpx.Client, name: str, script: list[object], status: int, error: str
) -> None:
    response = client.put(f"/sandbox/accounts/{name}/script", json=script)
    assert (response.status_code, response.json()) == (status, {"error": error})
