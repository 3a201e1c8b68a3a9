"""Parts of messages as Anthropic's content blocks, each as JSON. The parts of chat and of responses are read alike.

https://platform.openai.com/docs/api-reference/chat/create, …/responses/create
https://platform.claude.com/docs/en/build-with-claude/vision, …/pdf-support
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping

import msgspec

from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.reading import NULL, kind_of, read, string
from neurolink_mitm.core.request.conversation import is_blank_text

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_BEGINNINGS = (
    (b"iVBORw0KGgo", _IMAGES[1]),
    (b"/9j/", _IMAGES[0]),
    (b"R0lGOD", _IMAGES[2]),
    (b"UklGR", _IMAGES[3]),
)
"""The first letters of base64, by the type of image: Anthropic refuses an image under another type's name."""
_PDF, _PDF_BEGINS = "application/pdf", b"JVBERi"
_TEXTS = re.compile(
    r"text/.*|application/(json|xml|yaml|x-yaml|toml|javascript|x-sh|.*\+(json|xml))"
)
_DATA_URL = re.compile(rb"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SPACE = b" \t\r\n"
_PIECE = 1 << 20
"""Bytes that are looked at in one call: more would keep other threads waiting."""
_LONGEST_HEAD = 200


class Part(msgspec.Struct, gc=False):
    """A part of a message: the members of all types."""

    type: str
    text: msgspec.Raw = NULL
    refusal: msgspec.Raw = NULL
    image_url: msgspec.Raw = NULL
    file: msgspec.Raw = NULL
    file_data: msgspec.Raw = NULL
    file_url: msgspec.Raw = NULL
    file_id: msgspec.Raw = NULL
    filename: msgspec.Raw = NULL
    source: msgspec.Raw = NULL


class _Source(msgspec.Struct, gc=False):
    """The source of an image in Anthropic's form, which Cursor's agent sends."""

    type: str
    media_type: str = ""
    data: msgspec.Raw = NULL
    url: msgspec.Raw = NULL


class _Link(msgspec.Struct, gc=False):
    url: msgspec.Raw


class _File(msgspec.Struct, gc=False):
    file_data: msgspec.Raw = NULL
    file_url: msgspec.Raw = NULL
    file_id: msgspec.Raw = NULL
    filename: msgspec.Raw = NULL


_Maker = Callable[[Part, str], bytes | None]
_parts = msgspec.json.Decoder(list[Part])
_link = msgspec.json.Decoder(_Link)
_source = msgspec.json.Decoder(_Source)
_file = msgspec.json.Decoder(_File)
_string = msgspec.json.Decoder(str)


def text_block(text: bytes) -> bytes | None:
    """Return the block of a JSON string; None for white space, which Anthropic refuses."""
    return None if is_blank_text(text) else b'{"type":"text","text":%b}' % text


def user_blocks(content: msgspec.Raw, at: str, first: int = 0) -> list[bytes]:
    """Return the blocks of a user's message or of a tool's result; `first` is the number of its first part."""
    return _blocks(content, at, _USER, first)


def assistant_blocks(content: msgspec.Raw, at: str, first: int = 0) -> list[bytes]:
    """Return the blocks of an assistant's message; `first` is the number of its first part."""
    return _blocks(content, at, _ASSISTANT, first)


def system_blocks(content: msgspec.Raw, at: str) -> list[bytes]:
    """Return the blocks of instructions."""
    return _blocks(content, at, _SYSTEM)


def _blocks(
    content: msgspec.Raw, at: str, makers: Mapping[str, _Maker], first: int = 0
) -> list[bytes]:
    raw = bytes(content)
    if raw.startswith(b'"'):
        block = text_block(raw)
        return [block] if block else []
    if raw == b"null":
        return []
    if not raw.startswith(b"["):
        wanted = "expected a string or a list of parts"
        raise RequestError(
            f"Invalid type for '{at}': {wanted}, got {kind_of(raw)}", at, "invalid_type"
        )
    blocks = []
    for number, part in enumerate(_read_parts(raw, at), first):
        maker = makers.get(part.type, _unknown)
        if block := maker(part, f"{at}[{number}]"):
            blocks.append(block)
    return blocks


def _read_parts(raw: bytes, at: str) -> list[Part]:
    return read(_parts, raw, at)


# Parts


def _text(part: Part, at: str) -> bytes | None:
    return text_block(string(part.text, f"{at}.text"))


def _refusal(part: Part, at: str) -> bytes | None:
    return text_block(string(part.refusal, f"{at}.refusal"))


def _image(part: Part, at: str) -> bytes:
    if bytes(part.file_id) != b"null":
        raise _no_file_ids(f"{at}.file_id")
    raw, at = bytes(part.image_url), f"{at}.image_url"
    if raw.startswith(b"{"):
        raw, at = bytes(read(_link, raw, at).url), f"{at}.url"
    url = _plain(raw, at)
    if _is_address(url):
        return b'{"type":"image","source":{"type":"url","url":%b}}' % raw
    media, data = _data_url(url, at)
    return _image_block(media, data, at)


def _native_image(part: Part, at: str) -> bytes:
    at = f"{at}.source"
    source = read(_source, part.source, at)
    if source.type == "url":
        return _image(Part("image_url", image_url=source.url), f"{at}.url")
    data = _base64(_plain(bytes(source.data), f"{at}.data")[1:-1], f"{at}.data")
    return _image_block(source.media_type, data, f"{at}.media_type")


def _image_block(media: str, data: bytes, at: str) -> bytes:
    media = next((each for begin, each in _BEGINNINGS if data.startswith(begin)), media)
    media = "image/jpeg" if media == "image/jpg" else media
    if media not in _IMAGES:
        raise RequestError(
            f"Invalid '{at}': {media or 'no media type'} is none of {', '.join(_IMAGES)}", at
        )
    block = b'{"type":"image","source":{"type":"base64","media_type":"%b","data":"%b"}}'
    return block % (media.encode(), data)


def _file_part(part: Part, at: str) -> bytes | None:
    return file_block(read(_file, part.file, f"{at}.file"), f"{at}.file")


def file_block(file: Part | _File, at: str) -> bytes | None:
    """Return the block of a PDF, a text or an image in a data URL, or of a PDF's address; None for an empty text."""
    if bytes(file.file_id) != b"null":
        raise _no_file_ids(f"{at}.file_id")
    title = _title(file.filename, f"{at}.filename")
    if bytes(file.file_url) != b"null":
        url = bytes(file.file_url)
        if not _is_address(_plain(url, f"{at}.file_url")):
            raise RequestError(f"Invalid '{at}.file_url': not an https address", f"{at}.file_url")
        source = b'{"type":"url","url":%b}' % url
        return b'{"type":"document","source":%b%b}' % (source, title)
    at = f"{at}.file_data"
    data_url = _plain(bytes(file.file_data), at)
    if data_url[1:6].lower() == b"data:":
        media, data = _data_url(data_url, at)
    else:
        media, data = "", _base64(data_url[1:-1], at)
    if media == _PDF or data.startswith(_PDF_BEGINS):
        source = b'{"type":"base64","media_type":"application/pdf","data":"%b"}' % data
    elif media.startswith("image/"):
        return _image_block(media, data, at)
    else:
        text = _text_in(media, data, at)
        if is_blank_text(text):
            return None
        source = b'{"type":"text","media_type":"text/plain","data":%b}' % text
    return b'{"type":"document","source":%b%b}' % (source, title)


def _text_in(media: str, data: bytes, at: str) -> bytes:
    """Return the JSON of the text in base64."""
    try:
        text = base64.b64decode(data).decode()
    except UnicodeError as e:
        raise RequestError(
            f"Invalid '{at}': {media or 'this'} is neither a PDF nor a text nor an image", at
        ) from e
    if media and not _TEXTS.fullmatch(media) and "\0" in text:
        raise RequestError(f"Invalid '{at}': {media} is neither a PDF nor a text nor an image", at)
    return msgspec.json.encode(text)


def _title(filename: msgspec.Raw, at: str) -> bytes:
    raw = bytes(filename)
    if raw == b"null" or is_blank_text(string(filename, at)):
        return b""
    return b',"title":%b' % raw


def _audio(part: Part, at: str) -> bytes:
    raise RequestError(
        f"Unsupported value: '{at}' is audio, which Claude does not take", at, UNSUPPORTED
    )


def _unknown(part: Part, at: str) -> bytes:
    raise RequestError(
        f"Invalid value: '{part.type}' is no type of content here", f"{at}.type", "invalid_value"
    )


def _no_file_ids(at: str) -> RequestError:
    return RequestError(
        f"Unsupported parameter: '{at}': files can't be uploaded here; send them as data",
        at,
        UNSUPPORTED,
    )


_TEXT: Mapping[str, _Maker] = {"text": _text, "input_text": _text, "output_text": _text}
_SYSTEM = _TEXT
_ASSISTANT: Mapping[str, _Maker] = {**_TEXT, "refusal": _refusal}
_USER: Mapping[str, _Maker] = {
    **_TEXT,
    "image_url": _image,
    "input_image": _image,
    "image": _native_image,
    "file": _file_part,
    "input_file": file_block,
    "input_audio": _audio,
}


# Data URLs


def _plain(raw: bytes, at: str) -> bytes:
    """Return a JSON string, in its quotes, without escapes: the same object where it has none, which may be long."""
    if not raw.startswith(b'"'):
        raise RequestError(
            f"Invalid type for '{at}': expected a string, got {kind_of(raw)}", at, "invalid_type"
        )
    return raw if b"\\" not in raw else b'"%b"' % _string.decode(raw).encode()


def _is_address(url: bytes) -> bool:
    return url[1:9].lower() == b"https://"


def _data_url(url: bytes, at: str) -> tuple[str, bytes]:
    """Return media type and base64 of what `_plain` returns."""
    head = _DATA_URL.match(url, 1, _LONGEST_HEAD)
    if head is None:
        raise RequestError(
            f"Invalid '{at}': neither an https address nor a data URL", at, "invalid_value"
        )
    if b"base64" not in head[2].lower():
        raise RequestError(f"Invalid '{at}': the data URL is not in base64", at, "invalid_value")
    return head[1].decode().strip().lower(), _base64(url[head.end() : -1], at)


def _base64(data: bytes, at: str) -> bytes:
    """Return base64 as Anthropic takes it: without white space, with all padding."""
    pieces = (data[n : n + _PIECE] for n in range(0, len(data), _PIECE))
    odd = b"".join(piece.translate(None, _ALPHABET) for piece in pieces)
    if set(odd) & set(_SPACE):
        data, odd = data.translate(None, _SPACE), odd.translate(None, _SPACE)
    bare = data.rstrip(b"=")
    padding = len(data) - len(bare)
    if not bare or odd != b"=" * padding or padding > 2 or len(bare) % 4 == 1:
        raise RequestError(f"Invalid '{at}': its data is not base64", at, "invalid_value")
    return bare + b"=" * (-len(bare) % 4)
