"""Errors in OpenAI's form. https://platform.openai.com/docs/guides/error-codes

    {"error": {"message": …, "type": …, "param": …, "code": …}}

SDKs choose the class of an exception by the status, so that stays. What they and tools read besides is `code`.
"""

from __future__ import annotations

import re

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.response.error_text import SEARCHED, is_page

LONGEST = 4000
"""Characters of a message, which may quote what the client has sent."""
LONGEST_PATH = 300
"""Characters of a field's path, parts of which may be names of the client's."""


class RequestError(ValueError):
    """A request in OpenAI's form that can't be served. The text is fit for the client.

    `param` is the path of the field (`messages[2].tool_calls[0].function.arguments`), `code` OpenAI's error code.
    """

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(_short(message, LONGEST))
        self.param = _short(param, LONGEST_PATH) if param else param
        self.code = code
        self.status = status

    @property
    def body(self) -> bytes:
        """The body of its response."""
        kind = INVALID if self.status < 500 else SERVER
        return encoded(OpenAiError(str(self), kind, self.param, self.code))


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


INVALID = "invalid_request_error"
SERVER = "server_error"
UNSUPPORTED = "unsupported_parameter"
"""Code of a field whose meaning can't be kept."""
MODEL_NOT_FOUND = "model_not_found"
CONTEXT_TOO_LONG = "context_length_exceeded"
OVERLOADED = "server_is_overloaded"
"""https://github.com/openai/codex `codex-rs/codex-api/src/api_bridge.rs`"""


class OpenAiError(msgspec.Struct, frozen=True):
    """The `error` of a response or of an event."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


CUT_OFF = OpenAiError("The answer was cut off upstream. Ask again to continue.", SERVER)
UNREADABLE_EVENT = OpenAiError(
    "An event of upstream's answer can't be read. Ask again to continue.", SERVER
)


def encoded(error: OpenAiError) -> bytes:
    """Return the body of a response with `error`, which is also the data of a chat stream's error."""
    return msgspec.json.encode({"error": error})


def error_in_openai_form(
    body: bytes, status: int | None = None, api: Api = Api.CHAT
) -> OpenAiError:
    """Return the error of a response's body, or of the data of an `error` event, which has no `status`.

    The body may be in Anthropic's form, in OpenAI's already, an HTML page or anything else.
    """
    try:
        error = _decoder.decode(body).error
    except UNREADABLE:
        error = _Error(_shown(body, status))
    if error.param is not None or error.code is not None:
        return OpenAiError(
            error.message, error.type or INVALID, _text(error.param), _text(error.code)
        )
    if status is None:
        status = _STATUSES.get(error.type, 500)
    if status in (400, 413) and _TOO_LONG.search(error.message[:SEARCHED]):
        param = "messages" if api is Api.CHAT else "input"
        return OpenAiError(error.message, INVALID, param, CONTEXT_TOO_LONG)
    if status == 404 and _OF_A_MODEL.match(error.message):
        return OpenAiError(error.message, INVALID, "model", MODEL_NOT_FOUND)
    return _by_status(error, status)


def is_openais(body: bytes) -> bool:
    """Tell whether the body of an error is in OpenAI's form already."""
    try:
        form = _form.decode(body)
    except UNREADABLE:
        return False
    return form.type is None and isinstance(form.error, dict) and "message" in form.error


def _by_status(error: _Error, status: int) -> OpenAiError:
    kind = INVALID if status < 500 else SERVER
    code = _CODES.get(status)
    if status == 402 or error.type == "billing_error" or _UNPAID.search(error.message):
        kind = code = "insufficient_quota"
    elif status == 429:
        kind = "rate_limit_error"
    elif error.type == "overloaded_error":
        code = OVERLOADED
    return OpenAiError(error.message, kind, None, code)


def _shown(body: bytes, status: int | None) -> str:
    """Return the text of a body that is no JSON of an error: an edge's page is of no use to anybody."""
    if not body.strip() or is_page(body):
        return f"upstream answered with status {status} and a page" if body else f"status {status}"
    return body[:300].decode("utf-8", "replace")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


_CODES = {
    401: "invalid_api_key",
    405: "method_not_supported",
    429: "rate_limit_exceeded",
    529: OVERLOADED,
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""By Anthropic's error type. https://platform.claude.com/docs/en/api/errors"""
_TOO_LONG = re.compile(
    r"(?:prompt|input) is too long|exceed\w* (?:the )?(?:model'?s? )?context (?:limit|window)", re.I
)
_OF_A_MODEL = re.compile(r"\s*model\b", re.I)
_UNPAID = re.compile(r"credit balance is too low", re.I)


class _Error(msgspec.Struct):
    message: str = ""
    type: str = ""
    param: str | int | None = None
    code: str | int | None = None


class _Body(msgspec.Struct):
    error: _Error


class _Form(msgspec.Struct):
    error: object = None
    type: str | None = None


_decoder = msgspec.json.Decoder(_Body)
_form = msgspec.json.Decoder(_Form)
