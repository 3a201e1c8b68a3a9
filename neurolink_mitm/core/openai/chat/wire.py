"""A request of OpenAI's chat completions, as far as it is read. What is passed on as it is stays JSON (`Raw`).

https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import msgspec

from neurolink_mitm.core.openai.reading import NULL

Names = dict[str, msgspec.Raw]


class StreamOptions(msgspec.Struct, gc=False):
    """Options of a stream."""

    include_usage: bool | None = None


class Schema(msgspec.Struct, gc=False):
    """The schema of the answer."""

    name: str | None = None
    schema: msgspec.Raw = NULL
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, gc=False):
    """The form of the answer."""

    type: str
    json_schema: Schema | None = None


class Thinking(msgspec.Struct, gc=False):
    """Anthropic's own field, which clients that know Claude send beside OpenAI's."""

    type: str
    budget_tokens: int | None = None


class Reasoning(msgspec.Struct, gc=False):
    """OpenRouter's field. https://openrouter.ai/docs/use-cases/reasoning-tokens"""

    effort: str | None = None
    max_tokens: int | None = None
    enabled: bool | None = None


class ChatRequest(msgspec.Struct, gc=False, kw_only=True):
    """The body of a request, but for its lists."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None
    thinking: Thinking | None = None
    reasoning: Reasoning | None = None
    response_format: ResponseFormat | None = None
    tool_choice: msgspec.Raw = NULL
    parallel_tool_calls: bool | None = None
    function_call: msgspec.Raw = NULL
    prompt_cache_key: str | None = None
    # read by themselves: they are the same in all requests of a session
    tools: msgspec.Raw = NULL
    functions: msgspec.Raw = NULL
    # refused where they ask for something
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: Names | None = None
    modalities: list[str] | None = None
    audio: Names | None = None
    web_search_options: Names | None = None
    # ignored
    prediction: Names | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    store: bool | None = None
    metadata: Names | None = None
    user: str | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    verbosity: str | None = None


class CalledFunction(msgspec.Struct, gc=False):
    """A function that was called; the arguments are JSON in a string."""

    name: msgspec.Raw
    arguments: msgspec.Raw = NULL


class CalledCustom(msgspec.Struct, gc=False):
    """A custom tool that was called with a text."""

    name: msgspec.Raw
    input: msgspec.Raw


class Call(msgspec.Struct, gc=False):
    """A tool call of the assistant's."""

    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None
    custom: CalledCustom | None = None


class Message(msgspec.Struct, gc=False):
    """A message of the conversation."""

    role: str
    content: msgspec.Raw = NULL
    name: str | None = None
    tool_call_id: str | None = None
    tool_calls: list[Call] | None = None
    function_call: CalledFunction | None = None
    refusal: str | None = None
    reasoning_details: msgspec.Raw = NULL
    thinking_blocks: msgspec.Raw = NULL


class Function(msgspec.Struct, gc=False):
    """A function that may be called."""

    name: msgspec.Raw
    description: msgspec.Raw = NULL
    parameters: msgspec.Raw = NULL
    strict: bool | None = None


class CustomTool(msgspec.Struct, gc=False):
    """A tool that takes a text."""

    name: msgspec.Raw
    description: msgspec.Raw = NULL
    format: msgspec.Raw = NULL


class Tool(msgspec.Struct, gc=False):
    """A tool. Cursor writes functions as responses do, without `function`, or in Anthropic's form."""

    type: str = ""
    function: Function | None = None
    custom: CustomTool | None = None
    name: msgspec.Raw = NULL
    description: msgspec.Raw = NULL
    parameters: msgspec.Raw = NULL
    input_schema: msgspec.Raw = NULL
    strict: bool | None = None


class Named(msgspec.Struct, gc=False):
    """A tool that is named."""

    name: msgspec.Raw


class AllowedTools(msgspec.Struct, gc=False):
    """Some of the tools."""

    mode: str
    tools: list[ToolChoice]


class ToolChoice(msgspec.Struct, gc=False):
    """Which tool is to be called, where it is no word."""

    type: str
    function: Named | None = None
    custom: Named | None = None
    allowed_tools: AllowedTools | None = None
    name: msgspec.Raw = NULL


class WholeRequest(ChatRequest, gc=False, kw_only=True):
    """A request whose messages are read in one pass."""

    messages: list[Message]


class LongRequest(ChatRequest, gc=False, kw_only=True):
    """A request whose messages are read in groups."""

    messages: msgspec.Raw


Request = WholeRequest | LongRequest
whole_requests = msgspec.json.Decoder(WholeRequest)
long_requests = msgspec.json.Decoder(LongRequest)
messages = msgspec.json.Decoder(list[Message])
tools = msgspec.json.Decoder(list[Tool] | None)
functions = msgspec.json.Decoder(list[Function] | None)
tool_choices = msgspec.json.Decoder(str | ToolChoice | None)
function_choices = msgspec.json.Decoder(str | Named | None)
