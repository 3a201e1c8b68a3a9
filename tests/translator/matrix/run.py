"""Asks every target every row, and says what went wrong.

    python -m tests.translator.matrix.run [target…] [--rows PATTERN] [--both|--streamed] [--out FILE]

prints a score and the failures of each; rows are asked streamed and whole in turns, or `--both` ways.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from neurolink_mitm.core.providers.translator import Access
from tests.lookalikes.script import say
from tests.lookalikes.server import Lookalike
from tests.lookalikes.vertex import write_credentials
from tests.translator.matrix import fields, messages, tools
from tests.translator.matrix.answers import ANSWERS, Answer, judged
from tests.translator.matrix.rounds import ROUNDS, Round, played
from tests.translator.matrix.row import PNG, Json, Row
from tests.translator.matrix.targets import TARGETS, Target
from tests.translator.running import CREDENTIALS, KEY, Running

ROWS = (*messages.ROWS, *tools.ROWS, *fields.ROWS)
FOR_CLAUDE = ("cache_control", "ephemeral", "THOUGHT", "SEALED")
"""What Claude takes back, wherever it runs: marks of the cache, and thinking that it signed."""
PLAIN: Json = {
    "model": "claude-x",
    "max_tokens": 4000,
    "messages": [{"role": "user", "content": "ASKED"}],
}


@dataclass
class Asked:
    """A target behind the translator."""

    target: Target
    lookalike: Lookalike
    translator: Running

    def ask(self, body: Json) -> httpx.Response:
        return self.translator.ask(self.target.provider, self.target.model, body)

    def request(self, row: Row, *, stream: bool) -> str | None:
        """Ask what a row asks; return what is wrong."""
        before = len(self._received())
        self.lookalike.script = type(self.lookalike.script)()
        self.lookalike.script.add(say("FINE"))
        try:
            answer = self.ask({**PLAIN, **row.fields, "stream": stream})
        except Exception as e:
            return f"{type(e).__name__}: {e}"[:300]
        unasked = len(self._received()) == before
        if row.faulty and answer.status_code == 400 and (unasked or self.target.able.claude):
            fits = re.search(row.faulty, answer.text)
            return None if fits else f"the 400 does not say why: {_words(answer)}"
        if answer.status_code != 200:
            return (
                f"{answer.status_code} {_words(answer)}{' (the provider was not asked)' * unasked}"
            )
        if "FINE" not in answer.text:
            return f"answered without its words: {answer.text[-200:]}"
        if len(self._received()) - before > 1 + self.target.able.twice:
            return f"asked {len(self._received()) - before} times"
        return self._fault(row)

    def answer(self, row: Answer, *, stream: bool) -> str | None:
        """Let the target answer as a row says; return what is wrong."""
        stream = stream or row.streams
        self.lookalike.script = type(self.lookalike.script)()
        self.lookalike.script.add(row.reply)
        try:
            answer = self.ask({**PLAIN, **row.fields, "stream": stream})
            return judged(row, answer)
        except Exception as e:
            return f"{type(e).__name__}: {e}"[:300]

    def round(self, row: Round, *, stream: bool) -> str | None:
        """Play a row of several turns; return what is wrong."""
        try:
            return played(row, self.lookalike, self.ask, stream=stream)
        except Exception as e:
            return f"{type(e).__name__}: {e}"[:300]

    def _received(self) -> list[Json]:
        requests = self.lookalike.requests
        return [each.body for each in requests if each.path not in ("/api/show", "/token")]

    def _fault(self, row: Row) -> str | None:
        body = self._received()[-1]
        received = json.dumps(body, ensure_ascii=False)
        for words in row.holds:
            if words not in received:
                return f"{words[:60]!r} is missing"
        kept = FOR_CLAUDE if self.target.able.claude else ()
        for words in row.lacks:
            if words in received and words not in kept:
                return f"{words[:60]!r} arrived"
        if row.picture and (PNG in received) != self.target.able.sees:
            return "the picture is missing" if self.target.able.sees else "a picture arrived"
        return row.check(self.target.able, body) if row.check else None


def _words(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])[:240]
    except (ValueError, KeyError, TypeError):
        return answer.text[:240]


@contextmanager
def asking(name: str, translator: Running) -> Iterator[Asked]:
    """Return a target that can be asked."""
    target = TARGETS[name]
    with target.made() as lookalike:
        url = lookalike.url + target.base
        key: str | None = KEY
        if target.provider == "vertex":
            write_credentials(translator.home / CREDENTIALS, lookalike.url)
            key = None
        translator.configure(**{target.provider: Access(key, url, target.api)})
        yield Asked(target, lookalike, translator)
        lookalike.assert_no_anthropic_credentials()


class Named(Protocol):
    """A row of any kind."""

    @property
    def name(self) -> str: ...


@dataclass
class Score:
    """How a target did: rows that are right, and what is wrong with the others."""

    rows: int
    faults: dict[str, str]

    def __str__(self) -> str:
        return f"{self.rows - len(self.faults)}/{self.rows}"


def score(rows: Iterable[Named], ask: Callable[..., str | None], modes: Sequence[bool]) -> Score:
    """Return the score of rows that `ask` asks, streamed or not; without `modes`, in turns."""
    faults: dict[str, str] = {}
    count = 0
    for row in rows:
        count += 1
        for stream in modes or (count % 2 == 1,):
            if fault := ask(row, stream=stream):
                faults[row.name] = f"{'streamed' if stream else 'whole'}: {fault}"
    return Score(count, faults)


def scores(asked: Asked, pattern: str, modes: Sequence[bool] = ()) -> dict[str, Score]:
    """Return the scores of all kinds of rows whose names have `pattern`."""
    made = asked.lookalike
    return {
        "requests": score(_named(ROWS, pattern), asked.request, modes),
        "answers": score(_named(ANSWERS, pattern, made), asked.answer, modes),
        "rounds": score(_named(ROUNDS, pattern, made), asked.round, modes),
    }


def _named(rows: Iterable[Any], pattern: str, made: Lookalike | None = None) -> Iterator[Any]:
    return (row for row in rows if re.search(pattern, row.name) and (made is None or row.of(made)))


def report(name: str, asked: Asked, pattern: str, modes: Sequence[bool]) -> Iterator[str]:
    """Yield the lines about a target."""
    for kind, each in scores(asked, pattern, modes).items():
        yield f"{name:18} {kind:9} {each}"
        yield from _faults(each)


def _faults(score: Score) -> Iterator[str]:
    """Yield a line a fault, with all the rows that have it."""
    rows: dict[str, list[str]] = {}
    for row, fault in score.faults.items():
        rows.setdefault(" ".join(fault.split()), []).append(row)
    for fault, names in rows.items():
        more = f" (and {len(names) - 3} more)" if len(names) > 3 else ""
        yield f"    {' | '.join(names[:3])}{more}: {fault}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []])
    parser.add_argument("--rows", default="")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--both", action="store_true", help="each row streamed and whole")
    how.add_argument("--streamed", action="store_true", help="each row streamed")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as home, Running(Path(home)) as translator:
        for name in options.targets or TARGETS:
            with asking(name, translator) as asked:
                modes = (True, False) if options.both else (True,) * options.streamed
                for line in report(name, asked, options.rows, modes):
                    lines.append(line)
                    print(line, flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")
    sys.exit(any(line.startswith("    ") for line in lines))


if __name__ == "__main__":
    main()
