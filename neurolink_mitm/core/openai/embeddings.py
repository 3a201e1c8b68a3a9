"""Requests and answers of `POST /v1/embeddings`.

https://platform.openai.com/docs/api-reference/embeddings/create
"""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import checked_model, read, read_request

MOST_INPUTS = 2048
"""OpenAI's own bound."""
MOST_TOKENS = 1_000_000
"""Token ids of all inputs together; OpenAI takes 300,000."""
LONGEST_BODY = 8 * 1024 * 1024
"""Bytes of a request; OpenAI takes 300,000 tokens at most, which is less."""
Encoding = Literal["float", "base64"]
Inputs = list[str] | list[list[int]]


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """A request for embeddings. `inputs` are texts, or each a list of token ids."""

    model: str
    inputs: Inputs = field(repr=False)
    encoding: Encoding = "float"
    dimensions: int | None = None
    user: str | None = None

    @property
    def tokens(self) -> bool:
        """Whether the inputs are token ids."""
        return not isinstance(self.inputs[0], str)


class _Fields(msgspec.Struct, gc=False):
    model: str
    input: msgspec.Raw
    encoding_format: Encoding | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] | None = None
    user: str | None = None


_Token = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_fields = msgspec.json.Decoder(_Fields)
_text = msgspec.json.Decoder(str)
_texts = msgspec.json.Decoder(list[str])
_tokens = msgspec.json.Decoder(list[_Token])
_several_tokens = msgspec.json.Decoder(list[list[_Token]])
_FIRST = re.compile(rb"\[\s*+(.)", re.DOTALL)


def embeddings_request(body: bytes) -> EmbeddingsRequest:
    """Read a request. Raises `RequestError`."""
    if len(body) > LONGEST_BODY:
        text = f"The request is longer than {LONGEST_BODY} bytes: send its inputs in several."
        raise RequestError(text, status=413)
    fields = read_request(_fields, body)
    return EmbeddingsRequest(
        model=checked_model(fields.model),
        inputs=_inputs(fields.input),
        encoding=fields.encoding_format or "float",
        dimensions=fields.dimensions,
        user=fields.user,
    )


def _inputs(raw: msgspec.Raw) -> Inputs:
    """Return the inputs of `input`: a text, texts, token ids, or lists of token ids. Raises `RequestError`."""
    data = bytes(raw)
    first = _FIRST.match(data)
    kind = first[1] if first else b""
    if _is_huge(data, kind):
        raise _too_long()
    inputs = _decoded(data, kind)
    if len(inputs) > MOST_INPUTS:
        raise _too_long()
    empty = next((index for index, each in enumerate(inputs) if not each), None)
    if not inputs or empty is not None:
        listed = empty is not None and kind in (b'"', b"[")
        raise RequestError(
            "Invalid 'input': it must not be empty, and no item of it.",
            f"input[{empty}]" if listed else "input",
            "empty_input",
        )
    return inputs


def _is_huge(data: bytes, kind: bytes) -> bool:
    """Return whether there is far too much to be decoded at once, which would keep the event loop waiting."""
    if kind == b'"':  # a text can end in `",` once, so that there are half as many as it seems
        return data.count(b'","') + data.count(b'", "') > 2 * MOST_INPUTS
    return data.count(b"[") > 2 * MOST_INPUTS or (kind != b"" and data.count(b",") > MOST_TOKENS)


def _too_long() -> RequestError:
    text = f"Invalid 'input': array too long. At most {MOST_INPUTS} items are taken, and {MOST_TOKENS} token ids."
    return RequestError(text, "input", "array_above_max_length")


def _decoded(data: bytes, kind: bytes) -> Inputs:
    """Decode `input`; `kind` is the first byte of its first item. Raises `RequestError`."""
    if not data.startswith(b"["):
        return [read(_text, data, "input")]
    if kind == b"[":
        return read(_several_tokens, data, "input")
    if kind == b"-" or kind.isdigit():
        return [read(_tokens, data, "input")]
    return read(_texts, data, "input")


# The answer


def vector_items(
    vectors: Sequence[Sequence[float] | str], first: int, encoding: Encoding
) -> list[dict[str, object]]:
    """Return the items of `data` for `vectors`, the first of which has the index `first`.

    A vector is numbers, or 32-bit floats in base64.
    """
    form = _base64 if encoding == "base64" else _numbers
    return [
        {"object": "embedding", "index": index, "embedding": form(vector)}
        for index, vector in enumerate(vectors, first)
    ]


def answer_body(model: str, prompt_tokens: int, items: Sequence[bytes]) -> bytes:
    """Return the body of an answer; each of `items` is JSON of several items of `data`, with commas between them.

    The usage comes before the vectors, which may take tens of megabytes (`usage_part`).
    """
    usage = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    head = msgspec.json.encode({"object": "list", "model": model, "usage": usage})
    return b"".join((head[:-1], _DATA, b",".join(items), b"]}"))


_DATA = b',"data":['
_LONGEST_HEAD = 4096


def usage_part(body: bytes) -> bytes:
    """Return the JSON of an answer without its vectors, where `answer_body` has made it; else the body."""
    head, found, _ = body[:_LONGEST_HEAD].partition(_DATA)
    return head + b"}" if found else body


def _base64(vector: Sequence[float] | str) -> str:
    return vector if isinstance(vector, str) else base64.b64encode(packed(vector)).decode()


def _numbers(vector: Sequence[float] | str) -> Sequence[float]:
    if not isinstance(vector, str):
        return vector
    return _in_order(array("f", packed(vector))).tolist()


def packed(vector: Sequence[float] | str) -> bytes:
    """Return a vector as little-endian 32-bit floats, as OpenAI's SDKs decode them from base64.

    Raises `TypeError` and `ValueError` for what is no vector.
    """
    if isinstance(vector, str):
        return base64.b64decode(vector, validate=True)
    return _in_order(array("f", vector)).tobytes()


def _in_order(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
