from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.requests import Request

from neurolink_mitm.core.providers.responses import request as responses
from neurolink_mitm.core.providers.responses.events import ResponsesEvents
from neurolink_mitm.core.providers.responses.failures import FailedResponseError
from neurolink_mitm.translator.asking import Asking
from neurolink_mitm.translator.responses import pieces
from tests.lookalikes.openai_responses import OpenAIResponses
from tests.lookalikes.script import Call, calls, say, think
from tests.lookalikes.server import Refused
from tests.translator.providers import KINDS, READ, USER, Kind, Provider, serving
from tests.translator.running import Json, Running

VERIFY = "Your organization must be verified to generate reasoning summaries."
SEALED = "The encrypted content gAAA... could not be verified."


class Refusal(Exception):
    def __init__(self, text: str, status_code: int | None = 400) -> None:
        super().__init__(text)
        self.status_code = status_code


class FakeLiteLlm:
    """Refuses as it is told, call by call; the last one is answered."""

    def __init__(self, *refusals: Refusal) -> None:
        self.refusals = list(refusals)
        self.asked: list[Json] = []

    async def aresponses(self, **arguments: Any) -> str:
        self.asked.append(arguments)
        if self.refusals:
            raise self.refusals.pop(0)
        return "fine"


REASONING: Json = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
ARGUMENTS: Json = {
    "model": "openai/gpt-5",
    "input": [REASONING],
    "reasoning": {"effort": "low", "summary": "auto"},
}


async def test_what_is_refused_is_left_out_and_known_the_next_time() -> None:
    litellm = FakeLiteLlm(Refusal(VERIFY), Refusal(SEALED))
    ask = Asking(litellm.aresponses, responses)
    assert await ask(**ARGUMENTS) == "fine"
    assert litellm.asked[-1] == {**ARGUMENTS, "input": [], "reasoning": {"effort": "low"}}
    await ask(**ARGUMENTS)
    # reasoning of another conversation may be read again
    assert litellm.asked[-1] == {**ARGUMENTS, "reasoning": {"effort": "low"}}


async def test_what_one_organisation_may_not_see_another_may() -> None:
    litellm = FakeLiteLlm(Refusal(VERIFY))
    ask = Asking(litellm.aresponses, responses)
    await ask(**ARGUMENTS, api_key="a")
    await ask(**ARGUMENTS, api_key="b")
    assert litellm.asked[-1] == {**ARGUMENTS, "api_key": "b"}


@pytest.mark.parametrize(
    "refusal",
    [Refusal("Invalid value: 'input'."), Refusal(VERIFY, 500), Refusal(VERIFY, None)],
    ids=["the request's fault", "the server's fault", "no answer"],
)
async def test_another_refusal_is_final(refusal: Refusal) -> None:
    litellm = FakeLiteLlm(refusal)
    with pytest.raises(Refusal):
        await Asking(litellm.aresponses, responses)(**ARGUMENTS)
    assert len(litellm.asked) == 1


class FakeResponse:
    def __init__(self, kind: str, *chunks: bytes) -> None:
        self.headers = {"content-type": kind}
        self.chunks = chunks
        self.closed = False

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk

    async def aread(self) -> bytes:
        return b"".join(self.chunks)

    async def aclose(self) -> None:
        self.closed = True


class Answer:
    def __init__(self, response: FakeResponse) -> None:
        self.response = response


@pytest.mark.parametrize("end", [b"\n\n", b"\n", b""])
async def test_a_stream_is_read_event_by_event(end: bytes) -> None:
    chunks = (b'event: a\ndata: {"type": "a"}\n\nda', b'ta: no\n\ndata: {"type": "b"}', end)
    response = FakeResponse("text/event-stream; charset=utf-8", *chunks)
    assert [each async for each in pieces(Answer(response))] == [{"type": "a"}, {}, {"type": "b"}]
    assert response.closed


async def test_what_is_not_streamed_is_its_own_end() -> None:
    response = FakeResponse("application/json", b'{"status": "completed"}')
    last = {"type": "response.completed", "response": {"status": "completed"}}
    assert [each async for each in pieces(Answer(response))] == [last]
    assert response.closed


@pytest.mark.parametrize("status", ["in_progress", "queued"])
async def test_what_is_not_there_yet_is_a_failure(status: str) -> None:
    response = FakeResponse("application/json", b'{"status": "%s"}' % status.encode())
    (last,) = [each async for each in pieces(Answer(response))]
    with pytest.raises(FailedResponseError):
        ResponsesEvents().feed(last)


async def test_who_leaves_closes_the_response() -> None:
    response = FakeResponse("text/event-stream", b'data: {"a": 1}\n\n' * 9)
    reading = pieces(Answer(response))
    await anext(reading)
    await reading.aclose()
    assert response.closed


# Over LiteLLM


@pytest.fixture(params=[True, False], ids=["verified", "unverified"])
def openai(request: pytest.FixtureRequest, translator: Running) -> Iterator[Provider]:
    kind = KINDS["responses"]
    with OpenAIResponses(verified=request.param) as lookalike:
        translator.configure(openai=kind.access(lookalike.url))
        yield Provider(kind, lookalike, translator)


THINK: Json = {"thinking": {"type": "adaptive"}, "tools": [READ]}


@pytest.mark.real("litellm")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_reasoning_goes_back_to_its_author(openai: Provider, stream: bool) -> None:
    reply = calls(Call("Read", {"file_path": "a"}), thinking="hm")
    first = openai.told(reply, stream=stream, **THINK)
    assert [block["type"] for block in first.content] == ["thinking", "tool_use"]
    (use,) = first.tool_uses
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "42"}
    turns = [
        USER,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    assert "42" in openai.told(messages=turns, stream=stream, **THINK).text
    kinds = [item["type"] for item in openai.asked[-1].body["input"]]
    assert kinds == ["message", "reasoning", "function_call", "function_call_output"]
    assert openai.asked[-1].body["store"] is False


@pytest.mark.real("litellm")
@pytest.mark.timeout(120)
def test_reasoning_that_nobody_can_read_any_more_is_left_out(openai: Provider) -> None:
    first = openai.told(think("hm", "so"), stream=True, **THINK)
    assert isinstance(openai.lookalike, OpenAIResponses)
    openai.lookalike.forget()
    turns = [USER, {"role": "assistant", "content": first.content}, USER]
    assert openai.told(say("well"), messages=turns, stream=True, **THINK).text == "well"


@pytest.mark.real("litellm")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("before", ["so ", ""])
def test_an_answer_ends_at_a_stop_sequence(openai: Provider, stream: bool, before: str) -> None:
    message = openai.told(say(f"{before}HALT and more"), stop_sequences=["HALT"], stream=stream)
    assert message.text == before
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "HALT")
    assert message.usage["output_tokens"] == 5


class Azure(OpenAIResponses):
    """https://learn.microsoft.com/en-us/azure/ai-foundry/openai/how-to/responses"""

    paths = ("/openai/responses", "/openai/v1/responses")

    def key(self, request: Request) -> str:
        key = request.headers.get("api-key")
        if not key:
            raise Refused(
                401, "Access denied due to invalid subscription key or wrong API endpoint."
            )
        return key


@pytest.mark.real("litellm")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_azure_over_responses(translator: Running, stream: bool) -> None:
    kind = Kind("Azure, responses", "azure", "gpt-5", Azure, "", "responses")
    with serving(kind, translator) as azure:
        assert azure.told(think("hm", "so"), stream=stream, **THINK).thinking == "hm"
        assert azure.asked[-1].path.startswith("/openai/")
