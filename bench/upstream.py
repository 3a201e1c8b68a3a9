"""A fast upstream in its own process: HTTP/1.1 with keep-alive, responses rendered beforehand.

Run as `python -m bench.upstream PORT`: it serves until its standard input closes, so it can't
outlive the bench.
"""

import asyncio
import re
import sys
from functools import cache
from pathlib import Path

import click

from bench.certificates import server_context
from bench.children import HOST
from bench.payloads import Kind, Pace, answer, events, kind_of, pace_of

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_READ_LIMIT = 1 << 20
_BACKLOG = 1024

# Anthropic's other headers, which a proxy has to read or copy.
_COMMON_HEADERS = (
    b"date: Sat, 01 Nov 2025 12:00:00 GMT\r\n"
    b"request-id: req_bench\r\n"
    b"anthropic-organization-id: 00000000-0000-0000-0000-000000000000\r\n"
    b"anthropic-ratelimit-unified-status: allowed\r\n"
    b"anthropic-ratelimit-unified-5h-status: allowed\r\n"
    b"anthropic-ratelimit-unified-5h-utilization: 0.11\r\n"
    b"anthropic-ratelimit-unified-5h-reset: 4102444800\r\n"
    b"anthropic-ratelimit-unified-7d-status: allowed\r\n"
    b"anthropic-ratelimit-unified-7d-utilization: 0.42\r\n"
    b"anthropic-ratelimit-unified-7d-reset: 4102444800\r\n"
    b"anthropic-ratelimit-unified-fallback-percentage: 0.5\r\n"
    b"strict-transport-security: max-age=31536000\r\n"
    b"server: bench\r\n"
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n" + _COMMON_HEADERS + b"\r\n"
)
_LAST_CHUNK = b"0\r\n\r\n"
_LIMITED_BODY = b'{"type":"error","error":{"type":"rate_limit_error","message":"wait a second"}}'
_LIMITED = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    + _COMMON_HEADERS
    + b"content-length: %d\r\n\r\n%s" % (len(_LIMITED_BODY), _LIMITED_BODY)
)


class Upstream:
    """Answers requests; of `limited_every`, the last one by 429."""

    def __init__(self, limited_every: int = 0) -> None:
        self._limited_every = limited_every
        self._requests = 0

    async def serve_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while True:
                head = await reader.readuntil(_HEAD_END)
                length = _CONTENT_LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                await self._answer(writer, body)
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client is done
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        self._requests += 1
        if self._limited_every and self._requests % self._limited_every == 0:
            writer.write(_LIMITED)
            await writer.drain()
            return
        await answer_request(writer, kind_of(body), pace_of(body))


async def answer_request(writer: asyncio.StreamWriter, kind: Kind | None, pace: Pace) -> None:
    if kind == "streamed":
        await stream(writer, pace)
    elif kind == "coalesced":
        writer.write(b"".join((_STREAM_HEAD, *chunks(pace), _LAST_CHUNK)))
        await writer.drain()
    else:
        writer.write(whole(kind, pace))
        await writer.drain()


async def stream(writer: asyncio.StreamWriter, pace: Pace) -> None:
    writer.write(_STREAM_HEAD)
    for chunk in chunks(pace):
        writer.write(chunk)
        await writer.drain()
        # a sleep of 0 lets the loop turn, too, so that each event is a packet of its own
        await asyncio.sleep(pace.gap_ms / 1000)
    writer.write(_LAST_CHUNK)
    await writer.drain()


@cache
def chunks(pace: Pace) -> tuple[bytes, ...]:
    return tuple(b"%x\r\n%s\r\n" % (len(event), event) for event in events(pace))


@cache
def whole(kind: Kind | None, pace: Pace) -> bytes:
    """Return the response: 200 with the message, or 400 for an incomplete request."""
    status = b"200 OK" if kind else b"400 Bad Request"
    refusal = b'{"type":"error","error":{"type":"invalid_request_error","message":"not whole"}}'
    body = answer(kind, pace) if kind else refusal
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s" % (
        status,
        _COMMON_HEADERS,
        len(body),
        body,
    )


async def serve(port: int, certificate: Path | None, limited_every: int) -> None:
    await asyncio.start_server(
        Upstream(limited_every).serve_client,
        HOST,
        port,
        limit=_READ_LIMIT,
        backlog=_BACKLOG,
        ssl=server_context(certificate) if certificate else None,
    )
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


@click.command()
@click.argument("port", type=int)
@click.option("--certificate", type=click.Path(path_type=Path), help="Speak TLS.")
@click.option("--limited-every", type=int, default=0)
def main(port: int, certificate: Path | None, limited_every: int) -> None:
    asyncio.run(serve(port, certificate, limited_every))


if __name__ == "__main__":
    main()
