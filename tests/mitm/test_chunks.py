from __future__ import annotations

import time
from itertools import pairwise

import pytest
from h11 import Data, EndOfMessage, ProtocolError, RemoteProtocolError
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from hypothesis import example, given
from hypothesis import strategies as st

from neurolink_mitm.mitm.chunks import ChunkReader

Reader = ChunkReader | ChunkedReader


def read(reader: Reader, *chunks: bytes) -> tuple[bytes, bool, bytes]:
    """The body, whether it is whole, and what is left. Raises `ProtocolError`."""
    buf, body, whole = ReceiveBuffer(), b"", False
    for chunk in chunks:
        buf += chunk
        while not whole and (event := reader(buf)):
            body += bytes(event.data) if isinstance(event, Data) else b""
            whole = isinstance(event, EndOfMessage)
    return body, whole, bytes(buf)


pieces = st.lists(
    st.one_of(
        st.builds(lambda data, ext: b"%x%b\r\n%b\r\n" % (len(data), ext, data),
                  st.binary(max_size=20), st.sampled_from([b"", b";a=b", b"\t"])),
        st.sampled_from([b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"\r\n", b"5", b"zz\r\n", b"-1\r\n", b"0x2\r\n"]),
    ),
    max_size=6,
)  # fmt: skip


@given(pieces, st.lists(st.integers(0, 120), max_size=8))
@example([b"2\r\nok", b"\r\n0\r\n", b"\r\n"], [])
@example([b"2\r\nokno\r\n"], [])
def test_it_reads_as_h11_does(parts: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(parts)
    edges = sorted([0, *(min(cut, len(sent)) for cut in cuts), len(sent)])
    chunks = [sent[a:b] for a, b in pairwise(edges)]
    try:
        expected = read(ChunkedReader(), sent)
    except ProtocolError:
        with pytest.raises(RemoteProtocolError):
            read(ChunkReader(), *chunks, b"\r\n")  # it says so at the end of the line
    else:
        body, whole, _ = read(ChunkReader(), *chunks)
        assert (body, whole) == expected[:2]


def test_what_follows_is_left() -> None:
    assert read(ChunkReader(), b"2\r\nok\r\n0\r\n\r\nHTTP") == (b"ok", True, b"HTTP")


def test_what_came_before_a_fault_is_passed_on() -> None:
    buf, reader = ReceiveBuffer(), ChunkReader()
    buf += b"2\r\nok\r\nzz\r\n"
    assert reader(buf) == Data(data=b"ok")
    with pytest.raises(RemoteProtocolError, match="zz"):
        reader(buf)


def test_the_end_of_the_connection_is_no_end_of_the_body() -> None:
    with pytest.raises(RemoteProtocolError):
        ChunkReader().read_eof()


def test_many_small_chunks_do_not_hold_up_the_loop() -> None:
    """A read of 64 KiB; with h11's reader and mitmproxy's loop it takes 190 ms."""
    buf = ReceiveBuffer()
    buf += b"1\r\nx\r\n" * 10_922
    began = time.process_time()
    assert ChunkReader()(buf) == Data(data=b"x" * 10_922)
    assert time.process_time() - began < 0.1
