"""What is called in this process: readers of bodies, answers, streams, files and rows."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner
from hypothesis import strategies as st

from neurolink_mitm.app.wiring import Settings, prepare
from neurolink_mitm.cli import main as command_line
from neurolink_mitm.config.document import parse
from neurolink_mitm.config.env_file import EnvFileError
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.failover import errors
from neurolink_mitm.core.pool import limit_scope as limits
from neurolink_mitm.core.pool import quota
from neurolink_mitm.core.pool.limit_headers import limit_headers
from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.core.redact import body as redaction_body
from neurolink_mitm.core.redact import stream as redaction_stream
from neurolink_mitm.core.redact import text as redaction
from neurolink_mitm.core.request import body as body_index
from neurolink_mitm.core.request import headers, history
from neurolink_mitm.core.request import trace_context as tracing
from neurolink_mitm.core.response import reader as answer
from neurolink_mitm.core.response.sse import SseReader
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.shaping.outgoing import About, OutgoingRequest, RefusedError
from neurolink_mitm.core.shaping.pipeline import Pipeline
from neurolink_mitm.core.status import status
from neurolink_mitm.records.recorder import Recorder
from neurolink_mitm.records.replay import Replay, recorded
from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest, RowReader
from neurolink_mitm.records.stats import Stats, report
from tools.fuzz import inputs, openai_forms
from tools.fuzz.verdict import Diagnostic, within_time

CLOAKING = {
    "mode": "always",
    "plugins": {
        "wordObfuscator": {
            "enabled": True,
            "words": ["ada", "secret project"],
            "patterns": [r"[a-z]+-\d+"],
            "detectors": ["email", "ipv4", "ipv6", "key"],
        },
        "systemPromptInjector": {"enabled": True, "blocks": ["a rule"]},
    },
}
SHAPING = Pipeline.of(parse({"cloaking": CLOAKING}, {}).config.cloaking, b"a key of the fuzzer")


@dataclass(frozen=True)
class Target:
    """`run` raises for a finding; whatever it is documented to raise it catches itself."""

    name: str
    strategy: st.SearchStrategy[Any]
    run: Callable[[Any], None]
    plain: Any = None
    """An input that nothing was done to."""
    small: bool = True
    """Whether a finding is reduced to its smallest form; where each try takes long it is shown as it is."""


# Requests


def body(data: bytes) -> None:
    """A request's body, as route, sanitizer and shaping read it."""

    def call() -> None:
        try:
            asked = body_index.read_body(data)
        except ValueError:
            return
        assert asked.index
        index = asked.index
        for sanitize in (index.sanitized, index.without_thinking, lambda: history.signatures(data)):
            with suppress(ValueError):  # what is no conversation stays as it is
                sanitize()

    within_time(call, len(data))


def shaped(data: bytes) -> None:
    """A body on its way through all rewriters."""
    about = About(
        kind=Kind.MESSAGES, account="a", account_uuid="u", user_id="user_1_account_2_session_3"
    )
    draft = OutgoingRequest(about, ((b"host", b"localhost"), (b"x-note", data[:200])), data)

    def call() -> None:
        try:
            SHAPING.shape(draft)
        except RefusedError:
            return

    within_time(call, len(data))


def redacted(data: bytes) -> None:
    """What is captured, and what is written to a log."""
    text = data.decode(errors="replace")

    def call() -> None:
        redaction_body.redact_body(text)
        redaction.redact(text)
        redaction_stream.redact_stream(text)

    within_time(call, len(data), per_byte=2e-6)


# Answers


def streamed(chunks: Sequence[bytes]) -> None:
    """A stream is the same however it is cut."""
    whole = b"".join(chunks)
    assert _events(chunks) == _events([whole]), "the events depend on how the stream is cut"

    def call() -> None:
        _through(answer.EventStreamReader(), chunks)
        _through(answer.WholeReader(200, may_be_empty=False), chunks)

    within_time(call, len(whole))


def _events(chunks: Sequence[bytes]) -> list[Any]:
    reader = SseReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def _through(reader: answer.ResponseReader, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        reader.feed(chunk)
        if reader.failure:
            return
    reader.end()


def fields(data: bytes) -> None:
    """Header fields of an answer, and its error."""
    pairs = tuple(
        (name.strip().lower(), value.strip())
        for name, _, value in (line.partition(b":") for line in data.split(b"\r\n"))
    )

    def call() -> None:
        quota.parse(pairs, 1e9)
        limit_headers(pairs)
        headers.retry_after(pairs, 1e9)
        headers.end_to_end(pairs)
        failure = errors.Failure.of_status(429, data, pairs)
        errors.classify(failure)
        limits.scope_of(429, pairs, failure.message, "m")
        tracing.caller(headers.get(pairs, b"traceparent"))

    within_time(call, len(data))


# Files and commands

FILES = (
    "tokens.json", "anthropic-credentials.json", "cooldowns.json", "account-quotas.json", "spend.json", "clients.json",
    "proxy-state.json", "proxy-config.yaml", ".env",
)  # fmt: skip
START = "(a start)"
COMMANDS = (
    START,
    "auth list", "auth status", "auth list --format json", "proxy status", "proxy status --format json", "config check",
    "config show", "clients list", "statusline",
)  # fmt: skip
LOG_COMMANDS = (
    "logs tail -n 5",
    "logs show req_nl_1",
    "stats --by day",
    "stats --by account --format json",
    "logs export --har --since 9999d",
)
LOGS = ("proxy-2026-01-02.jsonl", "proxy-attempts-2026-01-02.jsonl", "proxy-debug-2026-01-02.jsonl")


def state(case: tuple[Mapping[str, bytes], str]) -> None:
    """A command in a home whose files hold anything."""
    files, words = case
    with _home(files, "") as place:
        if words == START:
            _start(place)
        else:
            run_command(words, place)


def _start(place: Path) -> None:
    """All that a start reads; nothing is served. What it would show must be possible to show."""
    try:
        prepared = prepare(Settings(environ={"NEUROLINK_HOME": str(place), "HOME": str(place)}))
    except (ConfigError, EnvFileError):
        return
    msgspec.json.encode(status.report(prepared.runtime, time.time()))


def rows(case: tuple[Mapping[str, bytes], str]) -> None:
    """Log rows, read by the readers and by the commands."""
    files, words = case
    lines = b"".join(files.values()).split(b"\n")

    stats = Stats("account")

    def requests() -> None:
        stats.add(RowReader().read(lines, LoggedRequest))
        report(stats.total())

    def attempts() -> None:
        stats.add_attempts(RowReader().read(lines, LoggedAttempt))

    def replayed() -> None:
        recorder = Recorder()
        recorder.take_requests(lines)
        recorder.take_attempts(lines)
        recording = recorder.finish()
        recorded(recording)
        Replay(recording, tuple(STRATEGIES)).finish()

    for read in (requests, attempts, replayed):
        within_time(read, sum(map(len, lines)))
    with _home(files, "logs") as place:
        run_command(words, place)


def run_command(words: str, place: Path) -> None:
    """In this process. Only documented exit codes, no exception, no credential in what is printed."""
    environ = {
        "NEUROLINK_HOME": str(place),
        "CLAUDE_CONFIG_DIR": str(place / "claude"),
        "HOME": str(place),
    }
    result = CliRunner().invoke(command_line, words.split(), input="", env=environ)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code not in (0, 1, 2, 3):
        raise Diagnostic(f"`neurolink {words}` ended with exit code {result.exit_code}")
    if "Traceback" in result.output or "sk-ant-oat-test-1" in result.output:
        raise Diagnostic(f"`neurolink {words}` printed a traceback or a credential")


@contextmanager
def _home(files: Mapping[str, bytes], folder: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        place = Path(name)
        (place / folder).mkdir(mode=0o700, exist_ok=True)
        for file, content in files.items():
            path = place / folder / file
            path.write_bytes(content)
            os.chmod(path, 0o600)
        yield place


def _files(names: Sequence[str], texts: st.SearchStrategy[bytes]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(names), texts, min_size=1, max_size=3)


_STATE = inputs.mutated(inputs.STATE, inputs.STATE_WORDS, most=100_000)
_ROWS = inputs.mutated([b"".join(inputs.ROWS), *inputs.ROWS], inputs.ROW_WORDS, most=300_000)
_BODY = inputs.mutated(inputs.BODIES, inputs.JSON_WORDS)
_REDACTED = inputs.mutated(
    [*inputs.BODIES, *inputs.OPENAI_BODIES, inputs.STREAM], inputs.JSON_WORDS
)
_OPENAI = inputs.mutated(inputs.OPENAI_BODIES, (*inputs.JSON_WORDS, *inputs.OPENAI_WORDS))
_STREAM = inputs.split(inputs.mutated([inputs.STREAM], inputs.STREAM_WORDS))
_HEAD = inputs.mutated(inputs.ANSWERS, inputs.ANSWER_WORDS, most=100_000)
_STATES = st.tuples(_files(FILES, _STATE), st.sampled_from(COMMANDS))
_JOURNAL = st.tuples(_files(LOGS, _ROWS), st.sampled_from(LOG_COMMANDS))

TARGETS = (
    Target("bodies", _BODY, body, inputs.BODIES[1]),
    Target("shaping", _BODY, shaped, inputs.BODIES[1]),
    Target("redaction", _REDACTED, redacted, inputs.BODIES[3]),
    Target("streams", _STREAM, streamed, [inputs.STREAM[:100], inputs.STREAM[100:]]),
    Target("openai-requests", _OPENAI, openai_forms.requests, inputs.OPENAI_BODIES[0]),
    Target(
        "openai-answers", _STREAM, openai_forms.answers, [inputs.STREAM[:100], inputs.STREAM[100:]]
    ),
    Target("answer-heads", _HEAD, fields, inputs.ANSWERS[3]),
    Target("state-files", _STATES, state, ({"tokens.json": inputs.STATE[0]}, "auth list")),
    Target("log-rows", _JOURNAL, rows, ({LOGS[0]: inputs.ROWS[0]}, "logs show req_nl_1")),
)
