"""What OpenAI's two interfaces have in common: credentials, errors, names, images, schemas."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection

from starlette.requests import Request

from tests.lookalikes import schemas
from tests.lookalikes.chat_dialect import openai_error
from tests.lookalikes.script import Json
from tests.lookalikes.server import Refused

error_body = openai_error
FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_IMAGE = re.compile(r"data:image/(png|jpeg|jpg|gif|webp);base64,(.*)", re.DOTALL)
_TIERS = ("auto", "default", "flex", "priority")


def bearer(request: Request) -> str:
    """The key. Raises Refused."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        said = (
            "You didn't provide an API key. You need to provide your API key in an Authorization"
            " header using Bearer auth."
        )
        raise Refused(401, said)
    return key


def no_unknown(value: object, known: Collection[str], where: str) -> None:
    if not isinstance(value, dict):
        raise Refused(400, f"Invalid type for '{where}': expected an object.", param=where)
    for name in value:
        if name not in known:
            path = f"{where}.{name}" if where else name
            raise Refused(
                400, f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter"
            )


def check_image_url(url: object, where: str) -> None:
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        return
    match = _IMAGE.fullmatch(url) if isinstance(url, str) else None
    if match is None:
        said = f"Invalid '{where}'. Expected a valid URL, or a base64-encoded image data URL."
        raise Refused(400, said, param=where, code="invalid_value")
    try:
        base64.b64decode(match[2], validate=True)
    except binascii.Error as e:
        said = f"Invalid '{where}'. Expected a base64-encoded data URL with an image MIME type."
        raise Refused(400, said, param=where, code="invalid_base64") from e


def check_tier(body: Json) -> None:
    tier = body.get("service_tier")
    if tier not in (None, *_TIERS):
        known = ", ".join(f"'{name}'" for name in _TIERS)
        said = f"Invalid value: '{tier}'. Supported values are: {known}."
        raise Refused(400, said, param="service_tier", code="invalid_value")


def check_schema(name: object, schema: object, where: str) -> None:
    if schema is None:
        return
    try:
        schemas.openai(name, schema)
    except ValueError as e:
        code = "invalid_function_parameters"
        raise Refused(400, str(e), param=f"{where}.parameters", code=code) from e
