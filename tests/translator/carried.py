"""What becomes of a request (`fates`), and of an answer, with each provider: the tables in docs/fallback.md.

`python -m tests.translator.carried` asks the look-alikes and writes what it finds there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurolink_mitm.core.providers.chat.ends import FAILED, MEANINGS
from tests.lookalikes.script import Call, Reply, calls, say, think
from tests.translator.fates import COLUMNS, ROWS, seen
from tests.translator.matrix.run import asking
from tests.translator.providers import KINDS, READ
from tests.translator.running import Running

Json = dict[str, Any]

PAGE = Path(__file__).parents[2] / "docs" / "fallback.md"
BEGIN, END = "<!-- made by tests/translator/carried.py -->", "<!-- end of what is made -->"


@dataclass(frozen=True)
class Said:
    """Of an answer: the types of its blocks, and why it ended; None where it is an error."""

    name: str
    reply: Reply
    fates: Mapping[str, tuple[str, list[str], str | None]]
    fields: Json = field(default_factory=dict)


TWO = calls(
    Call("Read", {"file_path": "a"}), Call("Read", {"file_path": "b"}), calls_come="together"
)
UNSIGNED = ("carried, unsigned", ["thinking", "text"], "end_turn")
UNTOLD = ("not told by OpenAI", ["text"], "end_turn")
SUMMARY = ("its summary; goes back to its author", ["thinking", "text"], "end_turn")
NEXT = ("the next entry is asked", [], None)
ANSWERS = (
    Said("thinking", think("hm", "so"),
         dict(zip(KINDS, (UNTOLD, SUMMARY, UNSIGNED, UNSIGNED), strict=True)),
         {"thinking": {"type": "adaptive"}}),
    Said("parallel tool calls", TWO,
         dict.fromkeys(KINDS, ("carried", ["tool_use", "tool_use"], "tool_use")), {"tools": [READ]}),
    Said("end by the limit of tokens", say("half", finish="length"),
         dict.fromkeys(KINDS, ("`max_tokens`", ["text"], "max_tokens"))),
    Said("words that a filter cuts off", say("half", finish="filter"),
         {**dict.fromkeys(KINDS, ("`refusal`", ["text"], "refusal")),
          "ollama": ("`end_turn`", ["text"], "end_turn")}),
    Said("nothing at all", say(""), dict.fromkeys(KINDS, NEXT)),
    Said("nothing, because of a filter", say("", finish="filter"),
         {**dict.fromkeys(KINDS, ("`refusal`", [], "refusal")), "ollama": NEXT}),
)  # fmt: skip


ERROR = "an error; before the first word, the next entry is asked"
GETS = {
    "end_turn": "`end_turn`; `tool_use` if a tool is called; `stop_sequence` if the provider names it",
    "tool_use": "`tool_use`; `end_turn` if none is called",
    "max_tokens": "`max_tokens`; a call that is cut off is left out",
    "refusal": "`refusal`, with the text that came, if any; no calls",
    FAILED: ERROR,
}
"""By what a finish reason means: what the client gets."""


Cells = Mapping[str, Mapping[str, str]]
"""What becomes of requests: by the names of rows, then by the heads of columns."""


def page(written: str, cells: Cells) -> str:
    """The page with fresh tables."""
    before, _, rest = written.partition(BEGIN)
    return before + "\n".join(_lines(cells)) + rest.partition(END)[2]


def cells_of(written: str) -> Cells:
    """The cells of the page."""
    cells: dict[str, dict[str, str]] = {}
    made = written.partition(BEGIN)[2].partition(END)[0].split("\n\n")
    for table in made[:2]:
        head, _, *lines = (_cut(line) for line in table.strip().splitlines())
        for name, *values in lines:
            named = zip(head[1:], values, strict=True)
            cells[name] = dict(named) if len(head) > 2 else dict.fromkeys(COLUMNS, values[0])
    return cells


def _cut(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _lines(cells: Cells) -> Iterator[str]:
    alike = [row.name for row in ROWS if len(set(cells[row.name].values())) == 1]
    yield BEGIN
    yield from _table("in a request, with all", ["what becomes of it"],
                      {name: [*cells[name].values()][:1] for name in alike})  # fmt: skip
    yield ""
    others = [row.name for row in ROWS if row.name not in alike]
    yield from _table(
        "in a request", [*COLUMNS], {name: [*cells[name].values()] for name in others}
    )
    yield ""
    yield from _table("in an answer", [kind.title for kind in KINDS.values()],
                      {said.name: [said.fates[kind][0] for kind in KINDS] for said in ANSWERS})  # fmt: skip
    yield ""
    yield from _table("how an answer in chat form ends", ["what the client gets"], _ends())
    yield END


def _ends() -> dict[str, list[str]]:
    ends = {
        ", ".join(f"`{reason}`" for reason in reasons): [GETS[meaning]]
        for meaning, reasons in MEANINGS.items()
    }
    ends["another reason, or `[DONE]` alone"] = [GETS["end_turn"]]
    ends["no reason and no `[DONE]`"] = [ERROR]
    ends["a call whose input is no JSON object"] = [ERROR]
    return ends


def _table(first: str, heads: list[str], lines: Mapping[str, list[str]]) -> Iterator[str]:
    yield f"| {first} | {' | '.join(heads)} |"
    yield "|---" * (len(heads) + 1) + "|"
    yield from (f"| {name} | {' | '.join(cells)} |" for name, cells in lines.items())


def _seen() -> Cells:
    cells: dict[str, dict[str, str]] = {row.name: {} for row in ROWS}
    with tempfile.TemporaryDirectory() as home, Running(Path(home)) as translator:
        for column, targets in COLUMNS.items():
            with asking(targets[0], translator) as asked:
                for row in ROWS:
                    cells[row.name][column] = seen(asked, row)
    return cells


if __name__ == "__main__":
    found = _seen()
    PAGE.write_text(page(PAGE.read_text(), found))
