"""Reads the Containerfile: stages, and their instructions in order. It knows what ours uses, and refuses the rest.

https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

KNOWN = frozenset({
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL", "USER",
    "VOLUME", "WORKDIR",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: `RUN`, its `--flags`, and the rest of the line."""

    word: str
    flags: Mapping[str, str]
    text: str

    @property
    def arguments(self) -> list[str]:
        """The words of the exec form, or of the line."""
        before, bracket, words = self.text.partition("[")
        return (
            [*shlex.split(before), *json.loads(bracket + words)] if bracket else shlex.split(before)
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: what it is made from, a stage or an image, and its instructions after FROM."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, word: str) -> Instruction | None:
        return next((each for each in reversed(self.instructions) if each.word == word), None)


def stages(text: str) -> dict[str, Stage]:
    """Return the stages by name. Raises `ValueError`."""
    arguments: dict[str, str] = {}
    found: dict[str, Stage] = {}
    stage: Stage | None = None
    for each in _instructions(text):
        if each.word == "FROM":
            base, _, name = each.text.partition(" AS ")
            stage = Stage(name or str(len(found)), expand(base, arguments))
            found[stage.name] = stage
        elif stage is None:  # only ARG is allowed there
            name, _, default = each.text.partition("=")
            arguments[name] = default
        else:
            stage.instructions.append(each)
    return found


def line_of(name: str, among: Mapping[str, Stage]) -> list[Stage]:
    """Return the stages that `name` is made from, the first one first, and itself."""
    stage = among[name]
    return [*(line_of(stage.base, among) if stage.base in among else []), stage]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Return the text with `${NAME}` and `$NAME` replaced."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables.get(match[1], ""), text)


def pairs(text: str) -> dict[str, str]:
    """Return the `NAME=value` of ENV and LABEL."""
    return dict(word.split("=", 1) for word in shlex.split(text))


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, _, rest = line.strip().partition(" ")
        if word not in KNOWN:
            raise ValueError(f"the instruction {word} is not known here")
        flags, rest = {}, rest.strip()
        while match := re.match(r"--([\w-]+)=(\S+)\s+", rest):
            flags[match[1]] = match[2]
            rest = rest[match.end() :]
        yield Instruction(word, flags, " ".join(rest.split()) if word != "RUN" else rest)
