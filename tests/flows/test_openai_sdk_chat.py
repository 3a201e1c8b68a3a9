"""OpenAI's official SDK, chat: whole, streamed, tools, parsed answers, images, errors, retries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from neurolink_mitm.core.settings.values import Config
from tests.core.openai.answers import CALL, REDACTED, THINKING, message, streamed, text
from tests.fakes import FakeClock
from tests.flows.harness import LIMIT, MODEL, Proxy, account
from tests.flows.raw_upstream import (
    BLOCK,
    HELLO,
    JSON,
    SSE,
    START,
    Act,
    RawUpstream,
    answer,
    chunk,
    error,
    head,
    says,
)

if TYPE_CHECKING:
    import openai  # at run time where it is used: who only collects this file need not wait

USER: Any = {"role": "user", "content": "say hi"}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("read", "now")
]
NOW = {**CALL, "id": "toolu_2", "name": "now", "input": {}}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Setting:
    """The proxy with two accounts of one upstream, and the SDK; what upstream answers is said by `says`."""

    def __init__(self, upstream: RawUpstream, clock: FakeClock, sdk: openai.OpenAI) -> None:
        self.upstream = upstream
        self.clock = clock
        self.sdk = sdk

    def says(self, *acts: bytes | Act) -> None:
        self.clock.advance(3600)  # no cooldown is left
        self.upstream.script(*acts)

    def asked(self) -> Any:
        """The Messages request that upstream got last."""
        return json.loads(self.upstream.requests[-1].partition(b"\r\n\r\n")[2])

    def create(self, *messages: Any, **fields: Any) -> Any:
        asked = messages or (USER,)
        return self.sdk.chat.completions.create(model=MODEL, messages=asked, **fields)


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    import openai

    clock = FakeClock()
    with (
        RawUpstream(b"") as upstream,
        Proxy([account(name, upstream.url) for name in "ab"], Config(), clock=clock) as proxy,
        openai.OpenAI(
            base_url=f"{proxy.url}/v1", api_key="sk-test", max_retries=0, timeout=LIMIT
        ) as sdk,
    ):
        yield Setting(upstream, clock, sdk)


def whole(*content: Any, **more: Any) -> Act:
    return says(answer(json.dumps(message(*content, **more)).encode(), **JSON))


def stream(*content: Any, **more: Any) -> Act:
    body = streamed(message(*content, **more), 7)
    return says(head(transfer_encoding="chunked", **SSE), chunk(body), chunk(b""))


def refused(status: str, error_type: str, words: str = "scripted") -> Act:
    return says(answer(error(error_type, words), status, **JSON))


def test_whole(setting: Setting) -> None:
    setting.says(whole(text("hello")))
    found = setting.create({"role": "system", "content": "Be brief."}, USER, temperature=0.5)
    assert (found.model, found.choices[0].message.content) == (MODEL, "hello")
    assert (found.choices[0].finish_reason, found.usage.total_tokens) == ("stop", 3252)
    assert setting.asked()["system"][0]["text"] == "Be brief."


def test_streamed(setting: Setting) -> None:
    setting.says(stream(THINKING, text("hello you")))
    every = list(setting.create(stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in every if c.choices) == "hello you"
    assert len(every) > 6
    assert every[-2].choices[0].finish_reason == "stop"
    assert every[-1].usage.prompt_tokens_details.cached_tokens == 200


def test_tools_in_parallel_over_turns_with_the_thinking(setting: Setting) -> None:
    setting.says(stream(THINKING, REDACTED, CALL, NOW, stop_reason="tool_use"), whole(text("done")))
    asked: Any = {"model": MODEL, "tools": TOOLS, "reasoning_effort": "medium"}
    with setting.sdk.chat.completions.stream(messages=[USER], **asked) as stream_:
        said = stream_.get_final_completion().choices[0].message
    assert said.tool_calls
    assert [call.function.name for call in said.tool_calls] == ["read", "now"]
    assert json.loads(said.tool_calls[0].function.arguments) == CALL["input"]
    results: Any = [
        {"role": "tool", "tool_call_id": call.id, "content": "x"} for call in said.tool_calls
    ]
    done = setting.create(USER, said, *results, tools=TOOLS, reasoning_effort="medium")
    assert done.choices[0].message.content == "done"
    _, assistant, user = setting.asked()["messages"]
    assert assistant["content"][:2] == [THINKING, REDACTED]
    assert [each["id"] for each in assistant["content"][2:]] == ["toolu_1", "toolu_2"]
    assert [each["tool_use_id"] for each in user["content"]] == ["toolu_1", "toolu_2"]


def test_an_answer_is_parsed(setting: Setting) -> None:
    import pydantic

    class Town(pydantic.BaseModel):
        name: str
        people: int

    parse, good = setting.sdk.chat.completions.parse, '{"name": "Ulm", "people": 5}'
    setting.says(whole(text(good)))
    found = parse(model=MODEL, messages=[USER], response_format=Town).choices[0].message.parsed
    assert found == Town(name="Ulm", people=5)
    assert setting.asked()["output_config"]["format"]["type"] == "json_schema"
    setting.says(stream(text(f"Sure:\n```json\n{good}\n```")))
    with setting.sdk.chat.completions.stream(
        model=MODEL, messages=[USER], response_format=Town
    ) as stream_:
        assert stream_.get_final_completion().choices[0].message.parsed == found


def test_an_answer_that_cant_be_parsed_fails_clearly(setting: Setting) -> None:
    import openai
    import pydantic

    class Town(pydantic.BaseModel):
        name: str

    asked: Any = {"model": MODEL, "messages": [USER], "response_format": Town}
    setting.says(
        whole(text("I can't.")),
        stream(text("I can't.")),
        whole(text('{"na'), stop_reason="max_tokens"),
    )
    with pytest.raises(openai.InternalServerError, match="not JSON: I can't"):
        setting.sdk.chat.completions.parse(**asked)
    with (
        setting.sdk.chat.completions.stream(**asked) as stream_,
        pytest.raises(openai.APIError, match="not JSON: I can't"),
    ):
        stream_.get_final_completion()
    with pytest.raises(openai.LengthFinishReasonError):
        setting.sdk.chat.completions.parse(**asked)


def test_an_image(setting: Setting) -> None:
    setting.says(whole(text("a pixel")))
    url = {"url": f"data:image/png;base64,{PIXEL}"}
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": url}]
    assert (
        setting.create({"role": "user", "content": parts}).choices[0].message.content == "a pixel"
    )
    assert setting.asked()["messages"][0]["content"][1]["source"] == {
        "type": "base64", "media_type": "image/png", "data": PIXEL,
    }  # fmt: skip


def test_a_limited_account_is_not_noticed(setting: Setting) -> None:
    setting.says(refused("429 Too Many Requests", "rate_limit_error"), whole(text("hello")))
    assert setting.create().choices[0].message.content == "hello"
    assert len(setting.upstream.requests) == 2


@pytest.mark.parametrize(
    ("status", "kind", "name", "code"),
    [
        ("400 Bad Request", "invalid_request_error", "BadRequestError", None),
        ("429 Too Many Requests", "rate_limit_error", "RateLimitError", "rate_limit_exceeded"),
        ("529 Overloaded", "overloaded_error", "InternalServerError", "server_is_overloaded"),
    ],
)
def test_errors_are_the_sdks_own(
    setting: Setting, status: str, kind: str, name: str, code: str | None
) -> None:
    import openai

    setting.says(refused(status, kind))
    with pytest.raises(getattr(openai, name)) as caught:
        setting.create(stream=True)
    assert caught.value.code == code
    assert caught.value.request_id


def test_errors_of_ours_are_the_sdks_own(setting: Setting) -> None:
    import openai

    setting.says(b"")
    with pytest.raises(openai.NotFoundError, match="gpt-9") as missing:
        setting.sdk.chat.completions.create(model="gpt-9", messages=[USER])
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as unsupported:
        setting.create(n=2)
    assert (unsupported.value.param, unsupported.value.code) == ("n", "unsupported_parameter")
    assert setting.upstream.requests == []


def test_the_sdk_tries_again(setting: Setting) -> None:
    overloaded = refused("529 Overloaded", "overloaded_error")
    setting.says(*[overloaded] * 4, whole(text("hello")))
    again = setting.sdk.with_options(max_retries=2).chat.completions
    found = again.create(model=MODEL, messages=[USER])
    assert found.choices[0].message.content == "hello"


def test_a_stream_that_is_cut_is_an_error_of_the_sdk(setting: Setting) -> None:
    import openai

    setting.says(head(transfer_encoding="chunked", **SSE) + chunk(START + BLOCK + HELLO))
    said: list[str] = []
    words = (each.choices[0].delta.content for each in setting.create(stream=True))
    with pytest.raises(openai.APIError, match="cut off upstream"):
        said.extend(words)
    assert said == ["", "hello"]
