from __future__ import annotations

import json

import msgspec
import pytest

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.reading import (
    checked_model,
    is_object,
    read_items,
    read_request,
    with_whole_letters,
)
from neurolink_mitm.core.request.json_spans import LARGE
from tests.linear import assert_linear, repeated


class _Item(msgspec.Struct):
    a: str


class _Request(msgspec.Struct):
    model: str
    items: list[_Item] = []
    rest: msgspec.Raw = msgspec.Raw(b"null")


requests = msgspec.json.Decoder(_Request)
items = msgspec.json.Decoder(list[_Item])


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "not valid JSON"),
        (b'{"model":"m",}', None, "not valid JSON"),
        (b'{"model":"m","rest":NaN}', None, "not valid JSON"),
        (b'{"model":"\xff"}', None, "not UTF-8"),
        (b"[" * 100_000, None, "nested too deeply|not valid JSON|expected `object`"),
        (b'{"model":"m","rest":' + b"[" * 100_000, None, "nested too deeply"),
        (b"[]", None, "expected `object`, got `array`"),
        (b"{}", "model", "Missing required parameter: 'model'"),
        (b'{"model":5}', "model", "expected `str`, got `int`"),
        (b'{"model":"m","items":{}}', "items", "expected `array`"),
        (b'{"model":"m","items":[{"a":"b"},{"a":1}]}', "items[1].a", "expected `str`"),
        (
            b'{"model":"m","items":[{}]}',
            "items[0].a",
            "Missing required parameter: 'items\\[0\\].a'",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_names_the_field(body: bytes, param: str | None, words: str) -> None:
    with pytest.raises(RequestError, match=words) as raised:
        read_request(requests, body)
    assert raised.value.param == param


def test_halves_of_letters_become_question_marks() -> None:
    body = rb'{"model":"a\ud83db\ude00\ud83d\ude00\\ud83d"}'
    assert read_request(requests, body).model == "a\ufffdb\ufffd\U0001f600\\ud83d"
    assert with_whole_letters(rb'"\\ud83d"') == rb'"\\ud83d"'


@pytest.mark.parametrize("size", [10, 2 * LARGE])
def test_a_list_is_read_item_by_item_and_its_errors_have_the_right_number(size: int) -> None:
    values = [{"a": "x" * 1000}] * (size // 1000 + 1)
    raw = msgspec.Raw(json.dumps(values).encode())
    read = list(read_items(items, raw, "messages"))
    assert [at for at, _ in read] == [f"messages[{number}]" for number in range(len(values))]
    raw = msgspec.Raw(json.dumps([*values, {"a": 1}]).encode())
    with pytest.raises(RequestError) as raised:
        list(read_items(items, raw, "messages"))
    assert raised.value.param == f"messages[{len(values)}].a"


@pytest.mark.parametrize("raw", [b"5", b"{}", b"null", b'"a"'])
def test_what_is_no_list(raw: bytes) -> None:
    with pytest.raises(RequestError) as raised:
        list(read_items(items, msgspec.Raw(raw), "messages"))
    assert raised.value.param == "messages"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (b"{}", True),
        (b' {"a":[1]} ', True),
        (b"", False),
        (b"[]", False),
        (b'"a"', False),
        (b'{"a":NaN}', False),
        (b'{"a":1', False),
        (b'{"a":' * 400 + b"1" + b"}" * 400, True),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, False),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_object_that_can_be_a_part_of_a_request(text: bytes, is_one: bool) -> None:
    assert is_object(text) is is_one


@pytest.mark.parametrize("unit", [rb"\ud83d", rb"\\", b"a"])
def test_mending_is_linear(unit: bytes) -> None:
    assert_linear(with_whole_letters, repeated(unit, b'"\\ud83d'))


@pytest.mark.parametrize(
    ("model", "code"), [("", "missing_required_parameter"), ("x" * 257, "string_above_max_length")]
)
def test_a_model_has_a_name(model: str, code: str) -> None:
    with pytest.raises(RequestError) as raised:
        checked_model(model)
    assert (raised.value.param, raised.value.code) == ("model", code)
    assert checked_model("x" * 256)
