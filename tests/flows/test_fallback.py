"""The real proxy and the real translator, when no account can serve: on to other providers, and back."""

from __future__ import annotations

import httpx
import pytest

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.settings.values import Fallback, ModelMapping, Routing
from neurolink_mitm.sandbox import Reply
from tests.anthropic_stream import validate
from tests.flows.fallen import Fallen, Setting, chain
from tests.flows.harness import CLAUDE_CODE, LIMIT, MODEL, account, message
from tests.lookalikes.script import fail, say
from tests.translator.providers import KINDS, READ, Kind
from tests.translator.running import Json

LITELLM = pytest.mark.real("litellm")
CHAT, GEMINI, OLLAMA = KINDS["chat"], KINDS["gemini"], KINDS["ollama"]


@LITELLM
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_request_that_no_account_serves_goes_through_litellm(
    through_litellm: Setting, kind: Kind, stream: bool
) -> None:
    goes_to_another_provider(through_litellm, kind, stream)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_request_that_no_account_serves_goes_to_another_provider(
    fallen: Setting, stream: bool
) -> None:
    goes_to_another_provider(fallen, CHAT, stream)


def goes_to_another_provider(setting: Setting, kind: Kind, stream: bool) -> None:
    them = setting(kind)
    them.limit()
    answer = them.ask(stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-neurolink-account"] == f"{kind.name}/{kind.model}"
    assert answer.headers["x-neurolink-attempts"] == "3"
    assert "You said: say hi" in (validate(answer.content).text if stream else answer.text)
    (row,) = them.proxy.rows.wait()
    assert (row.provider, row.model, row.actualModel) == (kind.name, MODEL, kind.model)
    assert (row.outcome, row.attempts, row.accountType) == ("complete", 3, "provider")
    assert (row.inputTokens, row.outputTokens) == (11, 5)
    assert [a.provider for a in them.proxy.rows.attempts] == ["anthropic", "anthropic", kind.name]


def test_no_credential_of_anthropics_leaves_for_another_provider(fallen: Setting) -> None:
    """Neither for the translator nor for the look-alikes: `Setting` looks through all that they were asked."""
    them = fallen(CHAT, GEMINI)
    them.limit()
    them.lookalikes["openai"].script.add(fail(500))
    headers = CLAUDE_CODE | {
        "x-api-key": "sk-ant-test-mine",
        "authorization": "Bearer sk-ant-oat-test-mine",
        "cookie": "sessionKey=sk-ant-sid-test",
        "x-neurolink-user-id": "sk-ant-test-label",
    }
    answer = httpx.post(
        f"{them.proxy.url}/v1/messages?key=sk-ant-test-query", json=message(), headers=headers,
        timeout=LIMIT, trust_env=False,
    )  # fmt: skip
    assert answer.headers["x-neurolink-account"] == "google-ai/gemini-2.5-flash"
    assert len(them.asked.seen) == 2
    assert all("say hi" in seen for seen in them.asked.seen), "this is what they were asked"
    assert all("test-secret" in seen for seen in them.asked.seen), "with the translator's secret"


def test_the_next_request_goes_back_to_an_account_that_is_back(fallen: Setting) -> None:
    them = fallen(CHAT)
    them.limit()
    assert [them.served_by(), them.served_by()] == ["openai/gpt-5"] * 2
    them.recover()
    assert them.served_by() == "a"


def test_who_is_not_asked_for_is_not_asked(fallen: Setting) -> None:
    them = fallen(CHAT)
    them.limit("a")
    assert them.served_by() == "b"
    assert them.lookalikes["openai"].requests == []


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_an_entry_that_fails_is_followed_by_the_next(fallen: Setting, status: int) -> None:
    them = fallen(CHAT, GEMINI)
    them.limit()
    them.lookalikes["openai"].script.add(fail(status))
    assert them.served_by() == "google-ai/gemini-2.5-flash"


@pytest.mark.parametrize("status", [401, 429])
def test_an_entry_that_is_limited_cools_by_itself(fallen: Setting, status: int) -> None:
    them = fallen(CHAT, GEMINI)
    them.limit()
    them.lookalikes["openai"].script.add(fail(status, retry_after=60))
    them.served_by()
    asked = len(them.lookalikes["openai"].requests)
    assert them.served_by() == "google-ai/gemini-2.5-flash"
    assert len(them.lookalikes["openai"].requests) == asked


@pytest.mark.parametrize(
    ("status", "words"),
    [(404, "The model `gpt-5` does not exist"), (400, "Model Not Exist"), (400, "LLM Provider NOT provided")],
    ids=["404", "400", "LiteLLM's"],
)  # fmt: skip
def test_an_entry_whose_model_is_unknown_is_passed_over_and_shown(
    fallen: Setting, status: int, words: str
) -> None:
    them = fallen(CHAT, GEMINI)
    them.limit()
    them.lookalikes["openai"].script.add(fail(status, words))
    assert [them.served_by(), them.served_by()] == ["google-ai/gemini-2.5-flash"] * 2
    assert len(them.lookalikes["openai"].requests) == 1, "not asked again for a while"
    report = httpx.get(f"{them.proxy.url}/status?explain").json()
    [entry] = [each for each in report["fallbackChain"] if each["provider"] == "openai"]
    assert not entry["usable"]
    [row] = [each for each in report["explain"] if each["key"] == "openai/gpt-5"]
    for reason in (entry["reason"], row["reason"]):
        assert "does not know this model (name another in proxy-config.yaml" in reason
        assert reason.endswith(words)


def test_where_only_that_is_left_it_is_no_404_of_claude_codes(fallen: Setting) -> None:
    routing = Routing(model_mappings=(ModelMapping("best", "gpt-5", "openai"),))
    them = fallen(CHAT, routing=routing)
    them.lookalikes["openai"].script.add(fail(404, "The model `gpt-5` does not exist"))
    for _ in range(2):
        answer = them.ask(model="best")
        assert answer.status_code != 404
        message = answer.json()["error"]["message"]
        assert "openai/gpt-5" in message
        assert "does not know this model" in message
        assert message.count("openai/gpt-5") == 1


def test_when_nobody_can_the_client_is_told_by_whom_and_when(fallen: Setting) -> None:
    them = fallen(CHAT, GEMINI)
    them.limit()
    for lookalike in them.lookalikes.values():
        lookalike.script.add(fail(429, "too fast", retry_after=30))
    them.ask()
    answer = them.ask()
    assert answer.status_code == 429
    assert 20 <= int(answer.headers["retry-after"]) <= 30
    said = answer.json()["error"]["message"]
    for named in (" a: ", " b: ", "openai/gpt-5", "google-ai/gemini-2.5-flash"):
        assert named in said


def test_a_hiccup_of_the_only_entry_is_not_seen(fallen: Setting) -> None:
    them = fallen(CHAT)
    them.limit()
    them.lookalikes["openai"].script.add(fail(503))
    assert them.served_by() == "openai/gpt-5"
    (row,) = them.proxy.rows.wait()
    assert row.attempts == 4


def test_trouble_of_an_entry_that_may_pass_is_an_error_that_is_repeated(fallen: Setting) -> None:
    """Claude Code repeats a 529, and gives up at once at the accounts' 429 of ten minutes."""
    them = fallen(CHAT, GEMINI)
    for name in "ab":
        them.sandbox.script(name, Reply(429, headers={"retry-after": "600"}))
    for lookalike in them.lookalikes.values():
        lookalike.script.add(fail(503), fail(503))
    answer = them.ask()
    assert (answer.status_code, answer.json()["error"]["type"]) == (529, "overloaded_error")
    assert "retry-after" not in answer.headers
    assert answer.headers.get("x-should-retry") != "false"
    assert "openai/gpt-5: " in answer.json()["error"]["message"]
    assert them.served_by() == "openai/gpt-5"


@pytest.mark.parametrize("first", [400, 401, 429], ids=["too", "refused", "limited"])
def test_a_prompt_that_is_too_long_for_all_is_told(fallen: Setting, first: int) -> None:
    """So that Claude Code shortens the conversation."""
    them = fallen(CHAT, GEMINI)
    them.limit()
    long = "maximum context length is 10 tokens"
    them.lookalikes["openai"].script.add(fail(first, long if first == 400 else "no"))
    them.lookalikes["google-ai"].script.add(fail(400, long))
    answer = them.ask()
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert answer.json()["error"]["message"].startswith("prompt is too long for google-ai")


def test_a_fault_that_nobody_mends_does_not_hide_when_accounts_are_back(fallen: Setting) -> None:
    them = fallen(CHAT)
    them.limit()
    them.lookalikes["openai"].script.add(fail(400, "seed is not supported"))
    answer = them.ask()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert "seed is not supported" in answer.json()["error"]["message"]


def test_an_entry_without_a_key_is_passed_over(fallen: Setting) -> None:
    routing = Routing(fallback_chain=(Fallback("mistral", "large"), *chain(CHAT)))
    them = fallen(CHAT, routing=routing)
    them.limit()
    assert them.served_by() == "openai/gpt-5"


def test_a_cut_stream_ends_in_an_error_event(fallen: Setting) -> None:
    them = fallen(CHAT)
    them.limit()
    them.lookalikes["openai"].script.add(say("abcdefg" * 9, pause=0.1, cut_after=8))
    cut = validate(them.ask().content, allow_error=True)
    assert cut.text
    assert cut.error
    (row,) = them.proxy.rows.wait()
    assert row.outcome == "truncated"


@LITELLM
class TestSdk:
    """The official SDK as a client."""

    @pytest.fixture(params=list(KINDS))
    def them(self, through_litellm: Setting, request: pytest.FixtureRequest) -> Fallen:
        them = through_litellm(KINDS[request.param])
        them.limit()
        return them

    def test_a_round_of_tools(self, them: Fallen) -> None:
        import anthropic  # here, since whoever only collects this file need not wait for it

        asked: Json = {"model": MODEL, "max_tokens": 2048, "tools": [READ]}
        turns: list[Json] = [{"role": "user", "content": "use the tool"}]
        with anthropic.Anthropic(
            base_url=them.proxy.url, api_key="sk-ant-test-mine", max_retries=0, timeout=LIMIT
        ) as sdk:
            with sdk.messages.stream(messages=turns, **asked) as stream:
                called = stream.get_final_message()
            (use,) = [block for block in called.content if block.type == "tool_use"]
            assert use.input == {"file_path": "sandbox"}
            assert called.stop_reason == "tool_use"
            turns += [
                {"role": "assistant", "content": called.content},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": use.id, "content": "forty-two"}]},
            ]  # fmt: skip
            with sdk.messages.stream(messages=turns, **asked) as stream:
                assert "forty-two" in "".join(stream.text_stream)


class TestWhoIsAsked:
    @pytest.mark.parametrize("accounts", [(), None], ids=["none", "limited"])
    def test_tokens_are_counted_by_the_fallback_where_no_account_can(
        self, fallen: Setting, accounts: tuple[Account, ...] | None
    ) -> None:
        them = fallen(CHAT, accounts=accounts)
        them.limit()
        answer = them.ask("/v1/messages/count_tokens")
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-neurolink-account"] == "openai/gpt-5"
        assert answer.json()["input_tokens"] > 0
        assert them.lookalikes["openai"].requests == []

    @pytest.mark.parametrize(
        ("asked", "served"),
        [("best", "openai/gpt-5"), ("claude-3-haiku-x", "openai/gpt-5"),
         ("claude-3-haiku-own", "a"), (MODEL, "a")],
        ids=["exact", "wildcard", "exact before wildcards", "not mapped"],
    )  # fmt: skip
    def test_mappings(self, fallen: Setting, asked: str, served: str) -> None:
        routing = Routing(
            model_mappings=(
                ModelMapping("claude-3-haiku-*", "gpt-5", "openai"),
                ModelMapping("claude-3-haiku-own", MODEL),
                ModelMapping("best", "gpt-5", "openai"),
            )
        )
        assert fallen(CHAT, routing=routing).served_by(model=asked) == served

    def test_a_mapping_to_another_claude_changes_the_name_and_no_other_byte(
        self, fallen: Setting
    ) -> None:
        routing = Routing(model_mappings=(ModelMapping("best", MODEL),))
        them = fallen(CHAT, routing=routing)
        body = b'{ "max_tokens":9, "x" :[1.50, "\\u00e9"],"model": "best","messages":[%s] }'
        body %= b'{"role":"user","content":"model"}'
        answer = httpx.post(f"{them.proxy.url}/v1/messages", content=body, headers=CLAUDE_CODE)
        assert answer.status_code == 200, answer.text
        received = them.sandbox.requests[-1].body
        assert received == body.replace(b'"best"', f'"{MODEL}"'.encode())

    def test_models_that_are_mapped_are_listed(self, fallen: Setting) -> None:
        import anthropic

        routing = Routing(model_mappings=(ModelMapping("best", "gpt-5", "openai"),))
        them = fallen(CHAT, routing=routing)
        with anthropic.Anthropic(base_url=them.proxy.url, api_key="sk-ant-test-mine") as sdk:
            assert {"best", MODEL} <= {model.id for model in sdk.models.list()}

    def test_passthrough_models_are_anthropics_or_nobodys(self, fallen: Setting) -> None:
        routing = Routing(fallback_chain=chain(CHAT), passthrough_models=("claude-opus-4-6",))
        them = fallen(CHAT, routing=routing)
        them.limit()
        answer = them.ask(model="claude-opus-4-6")
        assert answer.status_code == 429
        assert them.lookalikes["openai"].requests == []

    def test_gemini_without_credentials_of_vertex_is_a_clear_400(self, fallen: Setting) -> None:
        answer = fallen(CHAT, routing=Routing()).ask(model="gemini-2.5-pro")
        assert answer.status_code == 400
        message = answer.json()["error"]["message"]
        assert "GOOGLE_APPLICATION_CREDENTIALS" in message
        assert "GEMINI_API_KEY" in message

    def test_gemini_goes_to_google_ai_where_only_that_has_a_key(self, fallen: Setting) -> None:
        them = fallen(GEMINI, routing=Routing())
        assert them.served_by(model="gemini-2.5-pro") == "google-ai/gemini-*"
        explained = httpx.get(f"{them.proxy.url}/status?explain&model=gemini-2.5-pro").json()
        assert explained["route"]["next"] == "google-ai/gemini-*"
        assert "google-ai's, as Vertex AI can't be asked (no key" in explained["route"]["rule"]

    def test_a_model_of_nobodys_is_a_404(self, fallen: Setting) -> None:
        assert fallen(CHAT).ask(model="gpt-9").status_code == 404


class TestMoney:
    def test_what_is_paid_per_use_is_not_asked_where_that_is_ruled_out(
        self, fallen: Setting
    ) -> None:
        routing = Routing(fallback_chain=chain(CHAT, OLLAMA), pay_per_use="never")
        them = fallen(
            CHAT, OLLAMA, routing=routing,
            accounts=(account("o", fallen.sandbox.url, token="sk-ant-oat-test-o"),),
        )  # fmt: skip
        them.limit("o")
        assert them.served_by() == "ollama/qwen3"
        assert them.lookalikes["openai"].requests == []

    def test_nor_once_the_days_budget_is_spent(self, fallen: Setting) -> None:
        routing = Routing(fallback_chain=chain(CHAT), daily_cap_usd=1.0)
        them = fallen(
            CHAT, routing=routing,
            accounts=(account("o", fallen.sandbox.url, token="sk-ant-oat-test-o"),),
        )  # fmt: skip
        them.limit("o")
        assert them.served_by() == "openai/gpt-5"
        budget = them.proxy.runtime.pool.budget
        budget.spent, budget.day_ends_at = 1.0, them.proxy.clock.now() + 600
        answer = them.ask()
        assert answer.status_code == 429
        assert "daily-cap-usd" in answer.json()["error"]["message"]

    def test_tokens_are_counted_all_the_same(self, fallen: Setting) -> None:
        routing = Routing(fallback_chain=chain(CHAT), daily_cap_usd=1.0)
        key = account("k", fallen.sandbox.url)
        them = fallen(CHAT, routing=routing, accounts=(key,))
        budget = them.proxy.runtime.pool.budget
        budget.spent, budget.day_ends_at = 1.0, them.proxy.clock.now() + 600
        assert them.ask().status_code == 429
        counted = them.ask(path="/v1/messages/count_tokens")
        assert counted.json()["input_tokens"] > 0
