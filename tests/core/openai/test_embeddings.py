from __future__ import annotations

import base64
import json
import struct

import pytest

from neurolink_mitm.core.openai.embeddings import (
    LONGEST_BODY,
    MOST_INPUTS,
    EmbeddingsRequest,
    answer_body,
    embeddings_request,
    usage_part,
    vector_items,
)
from neurolink_mitm.core.openai.errors import RequestError


def read(**fields: object) -> EmbeddingsRequest:
    return embeddings_request(json.dumps({"model": "m", "input": "a"} | fields).encode())


@pytest.mark.parametrize(
    ("given", "inputs", "tokens"),
    [
        ("a", ["a"], False),
        (["a", "b"], ["a", "b"], False),
        ([1, 2], [[1, 2]], True),
        ([[1, 2], [3]], [[1, 2], [3]], True),
    ],
    ids=["text", "texts", "token ids", "lists of token ids"],
)
def test_the_forms_of_input(given: object, inputs: object, tokens: bool) -> None:
    request = read(input=given)
    assert (request.inputs, request.tokens) == (inputs, tokens)


def test_all_fields_are_read_and_others_are_passed_over() -> None:
    request = read(encoding_format="base64", dimensions=256, user="me", input_type="query")
    assert request == EmbeddingsRequest("m", ["a"], "base64", 256, "me")
    assert read(encoding_format=None, dimensions=None, user=None) == EmbeddingsRequest("m", ["a"])
    spaced = embeddings_request(b' {"model": "m", "input" : [ "a" , "b" ] } ')
    assert spaced.inputs == ["a", "b"]


WRONG: list[tuple[object, str | None, str | None]] = [
    ({"input": "a"}, "model", "missing_required_parameter"),
    ({"model": "m"}, "input", "missing_required_parameter"),
    *(({"model": value, "input": "a"}, "model", "invalid_type") for value in (1, None, ["m"], {}, True)),
    ({"model": "", "input": "a"}, "model", "missing_required_parameter"),
    ({"model": "m" * 300, "input": "a"}, "model", "string_above_max_length"),
    *(({"model": "m", "input": value}, "input", "invalid_type") for value in (1, None, {"a": 1}, True)),
    *(({"model": "m", "input": value}, "input", "empty_input") for value in ("", [])),
    *(({"model": "m", "input": value}, "input[1]", "empty_input") for value in (["a", ""], [[1], []])),
    *(({"model": "m", "input": value}, "input[1]", "invalid_type")
      for value in (["a", 1], ["a", None], ["a", ["b"]], [1, "a"], [1, 1.5], [[1], "a"], [[1], None])),
    ({"model": "m", "input": [[1], ["a"]]}, "input[1][0]", "invalid_type"),
    ({"model": "m", "input": [{"text": "a"}]}, "input[0]", "invalid_type"),
    *(({"model": "m", "input": [value]}, "input[0]", "invalid_type") for value in (-1, 1 << 40)),
    ({"model": "m", "input": ["a"] * (MOST_INPUTS + 1)}, "input", "array_above_max_length"),
    *(({"model": "m", "input": "a", "dimensions": value}, "dimensions", "invalid_type")
      for value in ("3", 2.5, True, [1])),
    *(({"model": "m", "input": "a", "dimensions": value}, "dimensions", "invalid_type") for value in (0, -1, 1 << 40)),
    ({"model": "m", "input": "a", "encoding_format": "hex"}, "encoding_format", "invalid_type"),
    ({"model": "m", "input": "a", "encoding_format": 1}, "encoding_format", "invalid_type"),
    ({"model": "m", "input": "a", "user": 1}, "user", "invalid_type"),
    *((value, None, "invalid_type") for value in ([], "x", None)),
]  # fmt: skip


def test_what_is_wrong_is_refused_with_its_place() -> None:
    for body, param, code in WRONG:
        with pytest.raises(RequestError) as caught:
            embeddings_request(json.dumps(body).encode())
        error = caught.value
        assert (error.param, error.code, error.status) == (param, code, 400), body
        assert 0 < len(str(error)) < 400


@pytest.mark.parametrize(
    "body",
    [b"", b"nope", b'{"model":"m","input":"\xff"}', b'{"model":"m","input":["\xff"]}', b'{"model":"m","input":[1'],
    ids=["empty", "a word", "no UTF-8", "no UTF-8 in a list", "cut"],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError, match=r"not valid JSON|not UTF-8"):
        embeddings_request(body)


def test_half_a_letter_is_a_question_mark() -> None:
    assert embeddings_request(b'{"model":"m","input":["a\\ud800"]}').inputs == ["a\ufffd"]


def test_a_huge_list_is_refused_before_it_is_decoded() -> None:
    for items in (["a"] * 400_000, [[1]] * 400_000, [1] * 1_500_000):
        for gap in (",", ", "):
            given = json.dumps({"model": "m", "input": items}, separators=(gap, ":")).encode()
            with pytest.raises(RequestError) as caught:
                embeddings_request(given)
            assert caught.value.code == "array_above_max_length"
    ends = ['",'] * MOST_INPUTS
    assert read(input=ends).inputs == ends
    assert len(read(input=[1] * 300_000).inputs) == 1


def test_deep_and_long_bodies_are_refused() -> None:
    with pytest.raises(RequestError, match="too deeply"):
        embeddings_request(b'{"model":"m","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    with pytest.raises(RequestError) as caught:
        embeddings_request(b" " * (LONGEST_BODY + 1))
    assert caught.value.status == 413


def test_an_answer_has_openais_form() -> None:
    parts = [json.dumps(vector_items([[0.5, -2.0]], index, "float"))[1:-1] for index in (0, 1)]
    body = json.loads(answer_body("m", 7, [part.encode() for part in parts]))
    assert body == {
        "object": "list",
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, -2.0]},
            {"object": "embedding", "index": 1, "embedding": [0.5, -2.0]},
        ],
    }


def test_base64_is_of_little_endian_floats() -> None:
    [item] = vector_items([[0.5, -2.0, 3.0]], 4, "base64")
    assert item["index"] == 4
    assert struct.unpack("<3f", base64.b64decode(str(item["embedding"]))) == (0.5, -2.0, 3.0)


def test_the_usage_is_read_without_the_vectors() -> None:
    body = answer_body("m", 7, [b'{"embedding":[' + b"1," * 1_000_000])  # cut
    assert json.loads(usage_part(body))["usage"]["prompt_tokens"] == 7
    assert usage_part(b'{"usage":{}}') == b'{"usage":{}}'
