from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.content import assistant_blocks, system_blocks, user_blocks
from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError

PNG = "iVBORw0KGgoAAAA="
PDF = base64.b64encode(b"%PDF-1.7 ...").decode()
TEXT = base64.b64encode("zoë".encode()).decode()


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())


def blocks(content: Any) -> list[Any]:
    return [json.loads(block) for block in user_blocks(raw(content), "messages[0].content")]


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url}


def file(**members: Any) -> dict[str, Any]:
    return {"type": "file", "file": members}


def base64_image(media: str, data: str = PNG) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}


def document(**source: str) -> dict[str, Any]:
    return {"type": "document", "source": source}


@pytest.mark.parametrize(
    ("content", "made"),
    [
        (None, []),
        ("", []),
        (" \n\u2003", []),
        ("hi", [{"type": "text", "text": "hi"}]),
        ([], []),
        ([{"type": "text", "text": ""}, {"type": "text", "text": "a"}], [{"type": "text", "text": "a"}]),
        ([{"type": "input_text", "text": "a"}], [{"type": "text", "text": "a"}]),
        ([image({"url": f"data:image/png;base64,{PNG}", "detail": "high"})], [base64_image("image/png")]),
        ([image(f"data:image/png;base64,{PNG}")], [base64_image("image/png")]),
        ([image({"url": f"data:image/jpg;base64,{PNG}"})], [base64_image("image/png")]),
        ([image({"url": "data:image/jpg;base64,AAAA"})], [base64_image("image/jpeg", "AAAA")]),
        ([image({"url": "DATA:image/GIF;charset=x;BASE64,AA AA\nAAA"})], [base64_image("image/gif", "AAAAAAA=")]),
        (
            [image({"url": 'https://x.example/a"b.png'})],
            [{"type": "image", "source": {"type": "url", "url": 'https://x.example/a"b.png'}}],
        ),
        (
            [file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf")],
            [{**document(type="base64", media_type="application/pdf", data=PDF), "title": "a.pdf"}],
        ),
        ([file(file_data=PDF)], [document(type="base64", media_type="application/pdf", data=PDF)]),
        (
            [file(file_data=f"data:text/plain;base64,{TEXT}", filename="")],
            [document(type="text", media_type="text/plain", data="zoë")],
        ),
        ([file(file_data="data:text/plain;base64,ICAg")], []),
        ([file(file_data=f"data:image/png;base64,{PNG}")], [base64_image("image/png")]),
        (
            [{"type": "input_file", "file_url": "https://x.example/a.pdf"}],
            [document(type="url", url="https://x.example/a.pdf")],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_parts_become_blocks(content: Any, made: list[Any]) -> None:
    assert blocks(content) == made


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (5, ""),
        ({}, ""),
        ([5], "[0]"),
        (["a"], "[0]"),
        ([{}], "[0].type"),
        ([{"type": 5}], "[0].type"),
        ([{"type": "video"}], "[0].type"),
        ([{"type": "text", "text": 5}], "[0].text"),
        ([{"type": "text"}], "[0].text"),
        ([{"type": "text", "text": "a"}, image(5)], "[1].image_url"),
        ([image({"url": 5})], "[0].image_url.url"),
        ([image({})], "[0].image_url.url"),
        ([image("http://x.example/a.png")], "[0].image_url"),
        ([image("data:image/png,AAAA")], "[0].image_url"),
        ([image("data:image/png;base64,")], "[0].image_url"),
        ([image("data:image/png;base64,A")], "[0].image_url"),
        ([image("data:image/png;base64,AA=A")], "[0].image_url"),
        ([image("data:image/png;base64,AA_A")], "[0].image_url"),
        ([image("data:image/svg+xml;base64,AAAA")], "[0].image_url"),
        ([image("data:;base64,AAAA")], "[0].image_url"),
        ([{"type": "file", "file": 5}], "[0].file"),
        ([{"type": "file"}], "[0].file"),
        ([file()], "[0].file.file_data"),
        ([file(file_data="data:application/zip;base64,//79")], "[0].file.file_data"),
        ([file(file_data="a b", filename=5)], "[0].file.filename"),
        ([{"type": "input_file", "file_url": "ftp://a"}], "[0].file_url"),
    ],
    ids=str,
)
def test_a_part_of_another_form_is_named(content: Any, param: str) -> None:
    with pytest.raises(RequestError) as raised:
        blocks(content)
    assert raised.value.param == f"messages[0].content{param}"


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ([file(file_id="file-1")], "[0].file.file_id"),
        ([{"type": "input_image", "file_id": "file-1"}], "[0].file_id"),
        ([{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}], "[0]"),
    ],
    ids=["file", "image", "audio"],
)
def test_what_claude_can_not_take_is_unsupported(content: Any, param: str) -> None:
    with pytest.raises(RequestError) as raised:
        blocks(content)
    assert (raised.value.param, raised.value.code) == (f"messages[0].content{param}", UNSUPPORTED)


def test_a_refusal_is_what_the_assistant_said() -> None:
    (block,) = assistant_blocks(raw([{"type": "refusal", "refusal": "no"}]), "messages[0].content")
    assert json.loads(block) == {"type": "text", "text": "no"}


def test_instructions_are_texts() -> None:
    with pytest.raises(RequestError, match="'image_url' is no type of content here"):
        system_blocks(raw([image("data:image/png;base64,AAAA")]), "messages[0].content")


def test_escapes_in_base64() -> None:
    content = msgspec.Raw(b'[{"type":"image_url","image_url":"data:image\\/png;base64,AA\\/A\\n"}]')
    (block,) = user_blocks(content, "at")
    assert json.loads(block)["source"]["data"] == "AA/A"
