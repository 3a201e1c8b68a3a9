from __future__ import annotations

import asyncio

import pytest

from neurolink_mitm.dataplane.client_reader import LARGE, TAIL, ClientReader


async def pieces(data: bytes, *, many: bool) -> list[bytes]:
    """What comes of `data` in reads of 64 KB."""
    inner = asyncio.StreamReader()
    inner.feed_data(data)
    inner.feed_eof()
    reader = ClientReader(inner, lambda: many)
    read = []
    while piece := await reader.read(65536):
        read.append(piece)
    return read


@pytest.mark.parametrize(
    ("size", "many", "sizes"),
    [
        (115_000, False, [65536, 49464]),
        (115_000, True, [65536 - TAIL, TAIL, 49464 - TAIL, TAIL]),
        (LARGE, True, [LARGE]),
        (0, True, []),
    ],
    ids=["few clients", "many clients", "a small piece", "nothing"],
)
async def test_the_last_piece_of_a_large_body_is_small(
    size: int, many: bool, sizes: list[int]
) -> None:
    data = bytes(n % 251 for n in range(size))
    read = await pieces(data, many=many)
    assert ([len(each) for each in read], b"".join(read)) == (sizes, data)
