from neurolink_mitm.sandbox.accounts import Account, default_accounts
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.welcome import page, words

BETA = Account("beta", "k")


def request(account: str, status: int | None, time: float = 100.0, body: bytes = b"x") -> Received:
    return Received("POST", "/v1/messages", [], time, "req_1", body, account=account, status=status)


def said(*earlier: Received) -> str:
    this = request("beta", None)
    return words(BETA, "claude-x", this, [*earlier, this])


def test_it_says_who_answers() -> None:
    assert "Account beta (API key) answers for claude-x." in said()
    assert said().endswith("it was asked first.")


def test_it_says_who_failed_before() -> None:
    text = said(request("alpha", 429), request("gamma", 529))
    assert text.endswith(
        "alpha answered 429 (rate_limit_error); gamma answered 529 (overloaded_error); "
        "then beta was asked."
    )


def test_what_was_answered_is_another_story() -> None:
    assert said(request("alpha", 429), request("alpha", 200)).endswith("it was asked first.")


def test_another_body_is_another_request() -> None:
    assert said(request("alpha", 429, body=b"y")).endswith("it was asked first.")


def test_long_ago_is_another_request() -> None:
    assert said(request("alpha", 429, time=90.0)).endswith("it was asked first.")


def test_the_page_shows_a_line_to_try() -> None:
    text = page(default_accounts(), "http://127.0.0.1:1")
    assert "alpha (API key), beta (API key), gamma (subscription)" in text
    assert "curl http://127.0.0.1:1/v1/messages -H 'x-api-key: sk-ant-test-alpha'" in text
