"""Reads a streamed chat completion as openai-python does; each chunk is held against OpenAI's schema and its types."""

from __future__ import annotations

import json
from typing import Any

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.translated import StreamWriter
from neurolink_mitm.core.response.sse import SseReader
from tests.openai_schema import validate

Json = dict[str, Any]


def written(events: bytes, answer: ChatAnswer, size: int = 0) -> bytes:
    """What the client gets for the bytes of a Messages stream, which come in chunks of `size`."""
    writer: StreamWriter = answer.stream("r1", 1_700_000_000)
    reader = SseReader()
    size = size or max(1, len(events))
    parts = [events[at : at + size] for at in range(0, len(events), size)]
    sent = [writer.event(e.name, e.data) for part in parts for e in reader.feed(part)]
    return b"".join([*sent, writer.end()])


def chunks(stream: bytes) -> list[Json]:
    """The chunks of a good stream; without its usage and its end."""
    *datas, done = data_of(stream)
    assert done == "[DONE]"
    found = [json.loads(data) for data in datas]
    for chunk in found:
        validate("CreateChatCompletionStreamResponse", chunk)
        ChatCompletionChunk.model_validate(chunk, strict=True)
    return found


def data_of(stream: bytes) -> list[str]:
    return [event.data.decode() for event in SseReader().feed(stream)]


def deltas(stream: bytes) -> list[Json]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(stream) if chunk["choices"]]


def joined(stream: bytes) -> Json:
    """The completion that openai-python makes of the chunks."""
    state = ChatCompletionStreamState()
    for chunk in chunks(stream):
        list(state.handle_chunk(ChatCompletionChunk.model_validate(chunk)))
    return state.current_completion_snapshot.to_dict()


def completion(body: bytes) -> Json:
    """A whole completion."""
    found: Json = json.loads(body)
    validate("CreateChatCompletionResponse", found)
    ChatCompletion.model_validate(found, strict=True)
    return found
