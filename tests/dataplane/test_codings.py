from __future__ import annotations

import tracemalloc
import zlib
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.dataplane.codings import BASE, CodingError, Decoding, decoding, unpacked
from tests.flows.raw_upstream import NAMES, compressed

TEXT = b'{"type":"error","error":{"type":"overloaded_error","message":"caf\xc3\xa9"}}' * 20


def made(coding: str) -> Decoding:
    found = decoding(coding)
    assert found
    return found


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)
@given(st.lists(st.integers(0, 150), max_size=8), st.sampled_from([b"x", TEXT]))
def test_any_split_is_the_same_text(name: str, cuts: list[int], text: bytes) -> None:
    packed, step = compressed(text, name), made(name)
    edges = sorted([0, *(min(cut, len(packed)) for cut in cuts), len(packed)])
    assert b"".join(step.feed(packed[a:b]) for a, b in pairwise(edges)) == text
    assert step.whole


@pytest.mark.parametrize("name", NAMES)
def test_text_comes_as_soon_as_it_can(name: str) -> None:
    """Half of what is random comes with half of the bytes."""
    text = Random(7).randbytes(400_000)
    packed, step = compressed(text, name), made(name)
    got = step.feed(packed[: len(packed) // 2])
    assert text.startswith(got)
    assert not step.whole
    assert got + step.feed(packed[len(packed) // 2 :]) == text


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("deflate", raw_deflate(TEXT)),
        ("x-gzip", compressed(TEXT, "gzip")),
        ("GZIP", compressed(TEXT, "gzip")),
        ("gzip, br", compressed(compressed(TEXT, "gzip"), "br")),
        ("identity, gzip", compressed(TEXT, "gzip")),
        ("gzip", compressed(TEXT[:50], "gzip") + compressed(TEXT[50:], "gzip")),
        ("zstd", compressed(TEXT[:50], "zstd") + compressed(TEXT[50:], "zstd")),
        ("gzip", compressed(TEXT, "gzip") + bytes(100)),
    ],
    ids=["raw", "x", "capitals", "two", "identity", "members", "frames", "padded"],
)
def test_forms(coding: str, packed: bytes) -> None:
    step = made(coding)
    assert step.feed(packed) == TEXT
    assert step.whole


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_what_is_not_compressed_passes_as_it_is(name: str) -> None:
    step = made(name)
    assert b"".join(step.feed(bytes([byte])) for byte in TEXT) == TEXT
    assert step.whole


@pytest.mark.parametrize("name", NAMES)
def test_nothing_at_all_is_whole(name: str) -> None:
    assert made(name).whole


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_what_breaks_is_told(name: str) -> None:
    """The others have no checksum: what is broken in them is some other text, and its reader's to judge."""
    packed, step = bytearray(compressed(Random(7).randbytes(400_000), name)), made(name)
    packed[200_000] ^= 1
    assert step.feed(bytes(packed[:100_000]))
    with pytest.raises(CodingError):
        step.feed(bytes(packed[100_000:]))


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_is_told_before_it_fills_the_memory(name: str) -> None:
    packed, step = compressed(bytes(16 * BASE), name), made(name)
    size = 0
    tracemalloc.start()
    try:
        with pytest.raises(CodingError, match="out of bounds"):  # noqa: PT012  # at some piece
            for at in range(0, len(packed), 4096):
                size += len(step.feed(packed[at : at + 4096]))
        assert tracemalloc.get_traced_memory()[1] < 8 * BASE
    finally:
        tracemalloc.stop()
    assert size <= BASE + 100 * len(packed)


@pytest.mark.parametrize(
    "coding",
    ["", "identity", "compress", "gzip, compress", "gzip, gzip, gzip, gzip", "aes128gcm", ",,"],
)
def test_there_is_nothing_to_undo_or_nobody_knows_how(coding: str) -> None:
    assert decoding(coding) is None


@pytest.mark.parametrize("coding", ["", "identity", " identity , identity", *NAMES])
def test_a_request_is_unpacked(coding: str) -> None:
    packed = compressed(TEXT, coding) if coding in NAMES else TEXT
    assert unpacked(packed, coding) == TEXT


@pytest.mark.parametrize(
    ("packed", "coding", "status"),
    [
        (TEXT, "compress", 415),
        (TEXT, "gzip;q=1", 415),
        (compressed(TEXT, "gzip")[:-9], "gzip", 400),
        (compressed(bytes(3 * BASE), "gzip"), "gzip", 413),
    ],
    ids=["unknown", "parameter", "cut", "bomb"],
)
def test_a_request_that_cant_be_unpacked(packed: bytes, coding: str, status: int) -> None:
    with pytest.raises(CodingError) as caught:
        unpacked(packed, coding)
    assert caught.value.status == status
