"""Anthropic's error form.

https://docs.anthropic.com/en/api/errors
"""

import msgspec

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}

MESSAGES = {
    "invalid_request_error": "The request was invalid.",
    "authentication_error": "invalid x-api-key",
    "billing_error": "There is an issue with your billing.",
    "permission_error": "Your credential does not have permission to use the specified resource.",
    "not_found_error": "Not found",
    "request_too_large": "Request exceeds the maximum size",
    "rate_limit_error": "This request would exceed your account's rate limit.",
    "api_error": "Internal server error",
    "timeout_error": "The request timed out.",
    "overloaded_error": "Overloaded",
}


class ApiError(Exception):
    """An error response; its type follows from the status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def type_of(status: int) -> str:
    return ERROR_TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def status_of(error_type: str) -> int:
    """Return the status of an error type; 500 for an unknown one."""
    return next((status for status, name in ERROR_TYPES.items() if name == error_type), 500)


def error(error_type: str, message: str | None) -> dict[str, str]:
    """Return an error object, with the usual message if `message` is None."""
    return {"type": error_type, "message": message or MESSAGES.get(error_type, "Error")}


def error_body(error_type: str, message: str | None, request_id: str) -> bytes:
    return msgspec.json.encode(
        {"type": "error", "error": error(error_type, message), "request_id": request_id}
    )
