"""What the checks of OpenAI's Responses API have in common: names, strings, choices, and their errors."""

from __future__ import annotations

from tests.lookalikes.openai_form import FUNCTION_NAME
from tests.lookalikes.server import Refused


def check_name(name: object, where: str) -> None:
    if not isinstance(name, str) or not FUNCTION_NAME.fullmatch(name):
        said = (
            f"Invalid '{where}': string does not match pattern."
            " Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
        )
        raise Refused(400, said, param=where, code="invalid_value")


def check_string(value: object, where: str, most: int | None = None) -> None:
    if not isinstance(value, str):
        raise Refused(400, f"Invalid type for '{where}'.", param=where, code="invalid_type")
    if most and not value:
        said = f"Invalid '{where}': empty string. Expected a string with minimum length 1."
        raise Refused(400, said, param=where, code="empty_string")
    if most and len(value) > most:
        said = (
            f"Invalid '{where}': string too long. Expected a string with maximum length {most}, but got a string"
            f" with length {len(value)} instead."
        )
        raise Refused(400, said, param=where, code="string_above_max_length")


def one_of(value: object, known: tuple[object, ...], where: str) -> None:
    if value not in known:
        words = ", ".join(f"'{name}'" for name in known if name is not None)
        said = f"Invalid value: '{value}'. Supported values are: {words}."
        raise Refused(400, said, param=where, code="invalid_value")


def missing(where: str) -> Refused:
    said = f"Missing required parameter: '{where}'."
    return Refused(400, said, param=where, code="missing_required_parameter")


def unsupported(where: str) -> Refused:
    said = f"Unsupported parameter: '{where}' is not supported with this model."
    return Refused(400, said, param=where)
