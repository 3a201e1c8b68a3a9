"""The policy of `core/failover/errors.py`: SPEC 6.2, row by row."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.failover import errors
from neurolink_mitm.core.failover.errors import (
    FAILURE_RULES,
    PERMANENT,
    Action,
    CooldownKind,
    Failure,
    FailureStage,
    classify,
    error_body,
    read_error,
)
from tests.fakes import make_failure

OF_ONE_MODEL = """
anthropic-ratelimit-unified-status: rejected
anthropic-ratelimit-unified-representative-claim: seven_day_opus
anthropic-ratelimit-unified-5h-status: allowed
anthropic-ratelimit-unified-7d-status: allowed
retry-after: 30
"""
OUT_OF_CREDITS = """
anthropic-ratelimit-unified-overage-disabled-reason: out_of_credits
x-should-retry: true
"""
LIMITED = "retry-after: 30"
BARE = "x-should-retry: true"
SIGNATURE = "messages.1.content.0: Invalid `signature` in `thinking` block"
MODIFIED = (
    "messages.9.content.15: `thinking` or `redacted_thinking` blocks in the latest assistant message"
    " cannot be modified. These blocks must remain as they were in the original response."
)
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
DISABLED = "This organization has been disabled."
PAGE = "<html>\r\n<head><title>502 Bad Gateway</title></head>"


def invalid(message: str) -> Failure:
    return make_failure(400, error_type="invalid_request_error", message=message)


def event(error_type: str) -> Failure:
    return make_failure(None, stage=FailureStage.EVENT, error_type=error_type)


def at_stage(stage: FailureStage, error_type: str = "x") -> Failure:
    return make_failure(None, stage=stage, error_type=error_type)


LONG_CONTEXT = "The long context beta is not yet available for this subscription."

EXAMPLES = {
    "not in its plan": invalid(LONG_CONTEXT),
    "rate limit of one model": make_failure(429, OF_ONE_MODEL),
    "out of overage credits": make_failure(429, OUT_OF_CREDITS),
    "short of capacity": make_failure(429, BARE),
    "rate limit": make_failure(429, LIMITED),
    "rate limit in stream": event("rate_limit_error"),
    "an edge's page": make_failure(403, message=PAGE),
    "no login taken there": make_failure(
        401, message="OAuth authentication is currently not supported.", refreshable=True
    ),
    "refused token": make_failure(401, refreshable=True),
    "refused by another endpoint": make_failure(403, other_endpoint=True),
    "refused credential": make_failure(401, error_type="authentication_error"),
    "certificate not pinned": at_stage(FailureStage.PIN),
    "no better token": make_failure(None, stage=FailureStage.LOGIN, other_endpoint=True),
    "no good token": at_stage(FailureStage.LOGIN),
    "out of credit": invalid(CREDIT),
    "organization disabled": invalid(DISABLED),
    "foreign thinking": invalid(SIGNATURE),
    "foreign thinking in stream": replace(event("invalid_request_error"), message=SIGNATURE),
    "unknown model": make_failure(400, error_type="not_found_error"),
    "overloaded": make_failure(400, error_type="overloaded_error"),
    "gateway page": make_failure(400, error_type="api_error", message=PAGE),
    "upstream trouble": make_failure(529, error_type="overloaded_error"),
    "error in stream": event("overloaded_error"),
    "empty answer": at_stage(FailureStage.EMPTY),
    "no way there": at_stage(FailureStage.NETWORK, PERMANENT),
    "network": at_stage(FailureStage.NETWORK),
    "out of time": at_stage(FailureStage.TIMEOUT, "total_timeout"),
    "timeout": at_stage(FailureStage.TIMEOUT, "timeout"),
    "the request's own fault": invalid("max_tokens: must be greater than 0"),
}
"""One failure for each row, by its name."""

AT_ONCE = (CooldownKind.NONE, Action.NEXT, True)
PASSED_ON = (CooldownKind.NONE, Action.NEXT, False)
BACKED_OFF = (CooldownKind.BACKOFF, Action.NEXT, False)
LONG_COOLDOWN = (CooldownKind.LONG, Action.NEXT, False)
REFRESHED = (CooldownKind.NONE, Action.REFRESH, False)
MENDED = (CooldownKind.NONE, Action.WITHOUT_THINKING, False)
RETURNED = (CooldownKind.NONE, Action.RETURN, False)

MEANT = {
    "not in its plan": PASSED_ON,
    "rate limit of one model": BACKED_OFF,
    "out of overage credits": BACKED_OFF,
    "short of capacity": AT_ONCE,
    "rate limit": BACKED_OFF,
    "rate limit in stream": BACKED_OFF,
    "an edge's page": AT_ONCE,
    "no login taken there": PASSED_ON,
    "refused token": REFRESHED,
    "refused by another endpoint": PASSED_ON,
    "refused credential": LONG_COOLDOWN,
    "certificate not pinned": RETURNED,
    "no better token": PASSED_ON,
    "no good token": LONG_COOLDOWN,
    "out of credit": LONG_COOLDOWN,
    "organization disabled": LONG_COOLDOWN,
    "foreign thinking": MENDED,
    "foreign thinking in stream": MENDED,
    "unknown model": LONG_COOLDOWN,
    "overloaded": AT_ONCE,
    "gateway page": AT_ONCE,
    "upstream trouble": AT_ONCE,
    "error in stream": AT_ONCE,
    "empty answer": AT_ONCE,
    "no way there": (CooldownKind.NONE, Action.NEXT, False),
    "network": AT_ONCE,
    "out of time": RETURNED,
    "timeout": AT_ONCE,
    "the request's own fault": RETURNED,
}
"""What SPEC 6.2 says of each: the account, the request, whether a second round is worth it."""


def meaning(failure: Failure) -> tuple[CooldownKind, Action, bool]:
    rule = classify(failure)
    return rule.cooldown, rule.action, rule.transient


# --- The table


@pytest.mark.parametrize("name", MEANT)
def test_each_row_has_its_example_and_means_what_the_contract_says(name: str) -> None:
    assert classify(EXAMPLES[name]).name == name
    assert meaning(EXAMPLES[name]) == MEANT[name]


def test_no_row_is_without_example_and_no_name_is_given_twice() -> None:
    assert [rule.name for rule in FAILURE_RULES] == list(EXAMPLES) == list(MEANT)


@pytest.mark.parametrize("rule", FAILURE_RULES, ids=lambda rule: rule.name)
def test_each_row_names_its_source(rule: errors.FailureRule) -> None:
    """A tag is one that the module's docstring resolves; else it is an RFC or a setting of ours."""
    tags = re.findall(r"\[\w+]", rule.source)
    assert tags or re.match(r"RFC \d+ section|timeouts\.|cloaking\.", rule.source), rule.source
    assert [tag for tag in tags if f"{tag} " not in (errors.__doc__ or "")] == []


def test_the_table_is_total() -> None:
    """Whatever the status and wherever it happened."""
    for stage in FailureStage:
        for status in (None, *range(100, 600)):
            assert classify(make_failure(status, stage=stage)) in FAILURE_RULES


@given(
    st.builds(
        Failure,
        st.sampled_from(FailureStage),
        st.none() | st.integers(),
        st.text(),
        st.text(),
        st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9))).map(tuple),
        sent=st.booleans(),
    )
)
def test_the_last_row_takes_whatever_comes(failure: Failure) -> None:
    assert FAILURE_RULES[-1].matches(failure)


# --- By status


@pytest.mark.parametrize(
    ("status", "meant"),
    [
        *((status, LONG_COOLDOWN) for status in (401, 402, 403)),
        *((status, AT_ONCE) for status in (408, 500, 502, 503, 504, *range(520, 527), 529)),
        *((status, RETURNED) for status in (400, 404, 405, 409, 411, 413, 415, 422, 424, 451)),
        *((status, RETURNED) for status in (100, 204, 304, 501, 505, 519, 527, 528, 530)),
        (429, BACKED_OFF),
    ],
)
def test_a_status_by_itself(status: int, meant: tuple[CooldownKind, Action, bool]) -> None:
    assert meaning(make_failure(status)) == meant


@pytest.mark.parametrize(
    "stage", [FailureStage.EVENT, FailureStage.EMPTY, FailureStage.NETWORK, FailureStage.TIMEOUT]
)
def test_a_status_counts_only_where_it_was_the_answer(stage: FailureStage) -> None:
    for status in (400, 401, 404, 413, 429, 529):
        assert meaning(make_failure(status, stage=stage)) == AT_ONCE


# --- The order of rows


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        (make_failure(429, OF_ONE_MODEL + "x-should-retry: true"), "rate limit of one model"),
        (make_failure(429, f"{BARE}\n{LIMITED}"), "rate limit"),
        (make_failure(429, f"{BARE}\nanthropic-ratelimit-tokens-remaining: 0"), "rate limit"),
        (make_failure(429, "x-should-retry: false"), "rate limit"),
        (make_failure(429, OUT_OF_CREDITS + LIMITED), "out of overage credits"),
        (make_failure(429, message=CREDIT), "rate limit"),
        (invalid(CREDIT.upper()), "out of credit"),
        (invalid(f"{CREDIT} {SIGNATURE}"), "out of credit"),
        (make_failure(400, message=DISABLED), "organization disabled"),
        (make_failure(403, message=DISABLED), "refused credential"),
        (make_failure(400, error_type="overloaded_error", message=CREDIT), "out of credit"),
        (make_failure(403, refreshable=True), "refused credential"),
        (make_failure(429, LIMITED, refreshable=True), "rate limit"),
        (make_failure(529, message=PAGE, error_type="api_error"), "upstream trouble"),
        (make_failure(413, message=CREDIT), "the request's own fault"),
    ],
    ids=["model-before-account", "bare-has-no-retry-after", "bare-has-no-limit", "not-to-be-retried",
         "credits-with-retry-after", "429-is-no-400", "any-case", "credit-before-thinking",
         "untyped", "403-is-no-400", "credit-before-overloaded",
         "403-is-no-401", "429-is-no-401", "529-is-no-400", "413-is-no-400"],
)  # fmt: skip
def test_the_first_row_that_matches_decides(failure: Failure, name: str) -> None:
    assert classify(failure).name == name


def test_a_bare_429_begins_no_cooldown() -> None:
    """Upstream is short of capacity and says itself that another try may help."""
    assert meaning(make_failure(429, BARE)) == AT_ONCE


@pytest.mark.parametrize(
    "message",
    [
        SIGNATURE,
        SIGNATURE.lower(),
        "messages.23.content.2: Invalid `data` in `redacted_thinking` block",
        MODIFIED,
        "messages.1.content.0: `thinking` blocks cannot be modified",
        "messages.7.content.0.thinking.signature: Field required",
        "messages.0.content.0.redacted_thinking.data: Field required",
        "messages.3.content.10: When providing `thinking` or `redacted_thinking` blocks, the blocks"
        " must match the parameters during the original request.",
    ],
    ids=["signature", "any-case", "redacted-data", "latest-turn", "modified", "no-signature",
         "no-data", "other-parameters"],
)  # fmt: skip
def test_refused_thinking_is_tried_without_it(message: str) -> None:
    assert meaning(invalid(message)) == MENDED


@pytest.mark.parametrize(
    "failure",
    [
        invalid("messages.1.content.0: Invalid `signature`"),
        invalid("`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive"),
        invalid("thinking.budget_tokens: Input should be greater than or equal to 1024"),
        make_failure(413, error_type="invalid_request_error", message=SIGNATURE),
    ],
    ids=["of-what", "clear-thinking", "budget", "other-status"],
)
def test_other_faults_are_not(failure: Failure) -> None:
    assert meaning(failure) == RETURNED


SAID = {
    "backticks": SIGNATURE,
    "no quotes": "messages.3.content.0: Invalid signature in thinking block",
    "half of them": "messages.1.content.0: Invalid `signature` in thinking block",
    "apostrophes": "messages.21.content.1: Invalid 'data' in 'redacted_thinking' block",
    "quotes": 'Invalid "signature" in "thinking" block',
    "typographic": "Invalid \u2018signature\u2019 in \u201cthinking\u201d block",
    "other order": "messages.1: `thinking` block has an invalid `signature`",
    "redacted": "messages.1: invalid signature of a `redacted_thinking` block",
    "broken line": "messages.1.content.0: Invalid `signature` in \n    `thinking`       block",
}
WRAPPED = {
    "anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": "SAID"}},
    "vertex": {"error": {"code": 400, "message": "JSON", "status": "INVALID_ARGUMENT"}},
    "twice": {"type": "error", "error": {"type": "upstream_error", "message": "JSON"}},
    "beside the message": {
        "error": {"type": "request_fail", "upstream_error": {"message": "SAID"}}
    },
    "another message": {"error": {"message": "Provider error", "metadata": {"raw": "JSON"}}},
    "bedrock": {"message": "ValidationException: SAID (request id: 2026)"},
    "a string": {"error": "JSON"},
    "other names": {"error": {"message": "SAID", "code": "invalid_request_body"}},
}
"""Where that text stands; `JSON` is the first one, written into a string."""


def written(form: Any, said: str) -> Any:
    if isinstance(form, dict):
        return {name: written(value, said) for name, value in form.items()}
    if form == "JSON":
        return json.dumps(written(WRAPPED["anthropic"], said))
    return form.replace("SAID", said) if isinstance(form, str) else form


@pytest.mark.parametrize("escape", [json.dumps, lambda document: json.dumps(document).replace("`", "\\u0060")],
                         ids=["plain", "escaped"])  # fmt: skip
@pytest.mark.parametrize(
    ("said", "form"),
    [*((said, "anthropic") for said in SAID), *(("backticks", form) for form in WRAPPED)],
)
def test_whatever_the_quotes_and_whatever_is_around_it(said: str, form: str, escape: Any) -> None:
    body = escape(written(WRAPPED[form], SAID[said])).encode()
    assert meaning(Failure.of_status(400, body)) == MENDED


def test_as_a_text_by_itself() -> None:
    assert meaning(Failure.of_status(400, SIGNATURE.encode())) == MENDED


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, LONG_CONTEXT),
        (400, "This authentication style is incompatible with the long context beta header."),
        (429, "Extra usage is required for long context requests."),
        (400, "This credential is only authorized for use with Claude Code and cannot be used for"
              " other API requests."),
    ],
    ids=["subscription", "style", "extra-usage", "claude-code"],
)  # fmt: skip
def test_what_one_account_may_not_do_another_may(status: int, message: str) -> None:
    assert meaning(make_failure(status, "retry-after: 30", message=message)) == PASSED_ON


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html>", b"<html><body>Attention Required!", b"\n <!-- ray --> <HTML>",
        b"\xef\xbb\xbf<html>", b"error code: 1020",
    ],
    ids=["doctype", "html", "comment", "byte-order-mark", "cloudflares-line"],
)  # fmt: skip
@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("other_endpoint", [True, False], ids=["other-endpoint", "messages"])
def test_an_edges_page_is_no_word_on_the_account(
    body: bytes, status: int, other_endpoint: bool
) -> None:
    failure = Failure.of_status(status, body)
    assert meaning(replace(failure, refreshable=True, other_endpoint=other_endpoint)) == AT_ONCE


def test_a_page_may_be_known_by_its_type_only() -> None:
    fields = ((b"Content-Type", b"text/html; charset=UTF-8"),)
    assert meaning(Failure.of_status(403, b"<div>no</div>", fields)) == AT_ONCE


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"type":"error","error":{"type":"permission_error","message":"<html>"}}', ()),
        (b'{"error":{"type":"permission_error"}}', ((b"content-type", b"text/html"),)),
        (b"Forbidden", ()),
        (b"", ()),
    ],
    ids=["markup-inside", "json-called-html", "a-word", "nothing"],
)
def test_other_refusals_are_the_accounts(body: bytes, fields: Any) -> None:
    assert meaning(Failure.of_status(403, body, fields)) == LONG_COOLDOWN


@pytest.mark.parametrize(
    ("failure", "meant"),
    [
        *((make_failure(status, other_endpoint=True), PASSED_ON) for status in (401, 402, 403)),
        (make_failure(401, other_endpoint=True, refreshable=True), REFRESHED),
        (make_failure(429, LIMITED, other_endpoint=True), BACKED_OFF),
        (make_failure(400, other_endpoint=True, message=DISABLED), LONG_COOLDOWN),
        (make_failure(404, other_endpoint=True), RETURNED),
        (make_failure(503, other_endpoint=True), AT_ONCE),
    ],
    ids=["401", "402", "403", "401-once", "429", "organization", "404", "503"],
)
def test_at_an_endpoint_beside_messages(
    failure: Failure, meant: tuple[CooldownKind, Action, bool]
) -> None:
    assert meaning(failure) == meant


@pytest.mark.parametrize("page", [PAGE, "<!DOCTYPE html><body>", "upstream said: <HTML lang=en>"])
def test_a_page_inside_an_api_error_is_the_gateways(page: str) -> None:
    assert meaning(make_failure(400, error_type="api_error", message=page)) == AT_ONCE


@pytest.mark.parametrize(
    "changes",
    [{"error_type": "invalid_request_error", "message": PAGE}, {"error_type": "api_error"}],
    ids=["other-type", "no-page"],
)
def test_another_400_is_not(changes: dict[str, Any]) -> None:
    assert meaning(make_failure(400, **changes)) == RETURNED


@pytest.mark.parametrize("status", [None, 200, 429])
def test_a_rate_limit_in_a_stream_counts_like_a_429(status: int | None) -> None:
    assert meaning(replace(event("rate_limit_error"), status=status)) == BACKED_OFF


@pytest.mark.parametrize(
    "kind", ["overloaded_error", "api_error", "timeout_error", "", "new_error"]
)
def test_any_other_error_in_a_stream_passes(kind: str) -> None:
    assert meaning(event(kind)) == AT_ONCE


# --- Reading errors


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"type":"error","error":{"type":"a","message":"b"},"request_id":"r"}', ("a", "b")),
        (b'{"error":{"message":"b"}}', ("", "b")),
        (b'{"error":{"type":"a","details":{}}}', ("a", "")),
        (b'{"error":{}}', ("", "")),
        (b'{"error":"invalid_grant"}', ("", '{"error":"invalid_grant"}')),
        (b'{"error":{"type":null,"message":"b"}}', ("", '{"error":{"type":null,"message":"b"}}')),
        (b'{"message":"b"}', ("", '{"message":"b"}')),
        (b"[]", ("", "[]")),
        (b"", ("", "")),
        (PAGE.encode(), ("", PAGE)),
        (b"no \xff utf-8", ("", "no \ufffd utf-8")),
        (b'{"error":{"message":"\xff"}}', ("", '{"error":{"message":"\ufffd"}}')),
        (b'{"error":{"message":"\\ud800"}}', ("", '{"error":{"message":"\\ud800"}}')),
        (b"x" * 5_000_000, ("", "x" * 300)),
        (b'{"error":' + b"[" * 200_000, ("", '{"error":' + "[" * 291)),
        (b'{"x":' + b"[" * 200_000, ("", '{"x":' + "[" * 295)),
    ],
    ids=["anthropic", "no-type", "no-message", "hollow", "oauth", "null", "other-json", "list",
         "empty", "page", "no-utf-8", "no-utf-8-inside", "surrogate", "huge", "deep", "deep-aside"],
)  # fmt: skip
def test_read_error(body: bytes, read: tuple[str, str]) -> None:
    assert read_error(body) == read


@given(st.binary() | st.binary().map(lambda inner: b'{"error":{"type":"' + inner + b'"}}'))
def test_no_body_makes_it_raise(body: bytes) -> None:
    error_type, message = read_error(body)
    assert len(error_type) + len(message) <= max(300, len(body))


texts = st.text(st.characters(codec="utf-8"), max_size=100)  # longer ones are cut


@given(texts, texts, texts)
def test_what_we_say_can_be_read(error_type: str, message: str, request_id: str) -> None:
    assert read_error(error_body(error_type, message, request_id)) == (error_type, message)


def test_our_errors_have_anthropics_form() -> None:
    assert error_body("a", "b") == b'{"type":"error","error":{"type":"a","message":"b"}}'
    assert error_body("a", "b", "r").endswith(b',"request_id":"r"}')


# --- Failures


def test_a_status_without_a_type_names_itself() -> None:
    fields = ((b"retry-after", b"3"),)
    found = Failure.of_status(418, b"short and stout", fields)
    assert found == Failure(FailureStage.STATUS, 418, "http_418", "short and stout", fields)


def test_a_status_with_a_type() -> None:
    assert Failure.of_status(400, error_body("a", "b")) == Failure(
        FailureStage.STATUS, 400, "a", "b"
    )


@pytest.mark.parametrize(
    ("data", "error_type", "message"),
    [
        (error_body("overloaded_error", "Overloaded"), "overloaded_error", "Overloaded"),
        (b"nothing of the kind", "api_error", "nothing of the kind"),
    ],
    ids=["typed", "untyped"],
)
def test_an_error_event(data: bytes, error_type: str, message: str) -> None:
    assert Failure.of_error_event(data) == Failure(FailureStage.EVENT, None, error_type, message)


@pytest.mark.parametrize("sent", [True, False])
def test_a_network_failure_knows_whether_upstream_may_have_seen_it(sent: bool) -> None:
    failure = Failure.of_network("connect_error", "refused", sent=sent)
    assert failure == Failure(FailureStage.NETWORK, None, "connect_error", "refused", sent=sent)


def test_by_default_upstream_may_have_seen_it() -> None:
    assert Failure.of_network("cut", "reset").sent


def test_headers_are_not_shown() -> None:
    """They may name an organisation."""
    assert "retry" not in repr(make_failure(429, LIMITED))
