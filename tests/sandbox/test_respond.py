from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.respond import refusal
from neurolink_mitm.sandbox.state import Sandbox

SANDBOX = Sandbox([Account("a", "k")], clock=lambda: 0.0)


def request(account: str | None) -> Received:
    return Received("POST", "/v1/messages", [], 0.0, "req_1", account=account)


def test_a_refusal_names_the_request() -> None:
    response = refusal(SANDBOX, request(None), 404, "Not Found")
    assert response.headers["request-id"] == "req_1"
    assert b'"request_id":"req_1"' in response.body


def test_limits_come_with_an_accounts_refusal_only() -> None:
    name = "anthropic-ratelimit-requests-limit"
    assert name in refusal(SANDBOX, request("a"), 400, "faulty").headers
    assert name not in refusal(SANDBOX, request(None), 401, "unknown").headers
