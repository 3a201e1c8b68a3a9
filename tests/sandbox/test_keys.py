import httpx
import pytest

from neurolink_mitm.sandbox.accounts import Reply
from neurolink_mitm.sandbox.keys import PATH
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.state import KEY_ENDPOINT
from tests.sandbox.asking import KEY, TOKEN, VERSION, message


def create(sandbox: SandboxServer, **headers: str) -> httpx.Response:
    return httpx.post(f"{sandbox.url}{PATH}", json={}, headers=headers, timeout=5)


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
