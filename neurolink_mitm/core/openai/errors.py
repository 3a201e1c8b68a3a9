"""Errors in OpenAI's form. https://platform.openai.com/docs/guides/error-codes"""

from __future__ import annotations


class RequestError(ValueError):
    """A request in OpenAI's form that can't be served. The text is fit for the client.

    `param` is the path of the field (`messages[2].tool_calls[0].function.arguments`), `code` OpenAI's error code.
    """

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


UNSUPPORTED = "unsupported_parameter"
"""Code of a field whose meaning can't be kept."""
