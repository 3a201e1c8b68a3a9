"""What pages claim of commands, keys, texts and headings is so."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from neurolink_mitm.cli import main
from neurolink_mitm.config.schema import entries
from tests.test_docs import DOCS, PAGES, ROOT, SOURCES, section

MANUALS = [page for page in PAGES if page.name not in ("CHANGELOG.md", "decisions.md")]
named = pytest.mark.parametrize("page", MANUALS, ids=lambda page: page.name)

OTHERS = {
    "credit balance is too low", ": Extra inputs are not permitted", "OAuth token has expired",
    "handshake failure", "Not logged in", "event: error", "Extra usage is required for long context requests",
    "The long context beta is not yet available for this subscription", "Please run /login · API Error: 401",
    "model", "messages",
}  # fmt: skip
"""Texts that are upstream's, another program's, or only parts."""


def commands(text: str) -> Iterator[list[str]]:
    """Every `neurolink …` that a page shows, as words."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines += [line.strip() for line in re.findall(r"^    (neurolink .*)$", text, re.MULTILINE)]
    for line in lines:
        if match := re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(neurolink .*)", line):
            yield words(match[1])
    for match in re.finditer(r"`(neurolink [^`]+)`", text):
        yield words(match[1])


def words(line: str) -> list[str]:
    line = re.sub(r"\s+(#|\||>|&&|;|<).*| \.\.\.$|…", "", line)
    try:
        return shlex.split(line)[1:]
    except ValueError:
        return line.split()[1:]


def fault(asked: list[str]) -> str | None:
    """What such a command line has that there is not: a command, or an option."""
    command: click.Command = main
    context = click.Context(main)
    rest = list(asked)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            return f"no command {' '.join(asked)!r}"
        command, rest = found, rest[1:]
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    known |= {"--help", "-h", "--version"}
    options = (word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word))
    wrong = [word for word in options if word not in known]
    return f"{' '.join(asked)!r} has no {', '.join(wrong)}" if wrong else None


STATUS_LINES = {"work", "openai/gpt-x", "(slow)"}
"""What follows the name in a status line, which is no command."""


@named
def test_commands_and_options_exist(page: Path) -> None:
    found = [c for c in commands(page.read_text()) if c and c[0] not in STATUS_LINES]
    assert [text for text in map(fault, found) if text] == []


def kebab(path: str) -> str:
    return re.sub(r"(?<=[a-z])[A-Z]", lambda match: f"-{match[0].lower()}", path)


def keys() -> set[str]:
    """The keys of the configuration in either spelling, without signs for lists."""
    paths = {entry.path.replace("[]", "") for entry in entries()}
    return paths | set(map(kebab, paths))


@named
def test_keys_of_the_configuration_exist(page: Path) -> None:
    """In backticks, as `routing.primary-account`."""
    sections = {path.partition(".")[0] for path in keys()}
    pattern = rf"`((?:{'|'.join(sections)})\.(?!(?:json|key)`)[\w.-]+?)(?::[^`]*)?`"
    told = re.findall(pattern, page.read_text())
    known = keys()
    flat = {re.sub(r"\.\*", "", path) for path in known} | known
    report = section("status.md", "/status\n")  # keys of reports look alike
    wrong = [
        key for key in told
        if key not in flat and f"`{key}" not in report and not key.startswith("providers.NAME")
    ]  # fmt: skip
    assert wrong == []


def texts() -> str:
    """All texts of the code, those of a joined text one behind the other."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "\0" for p in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_texts_of_errors_are_those_of_the_code() -> None:
    """The first column of the table of symptoms; what varies is a …"""
    rows = section("troubleshooting.md", "From symptom to cause").splitlines()[4:]
    cells = [row.split(" | ")[0] for row in rows if row.startswith("| ")]
    quoted = [
        part
        for cell in cells
        for text in re.findall(r"`([^`]+)`", cell)
        for part in text.split("…")
    ]
    wanted = {part.strip() for part in quoted if len(part.strip()) > 5} - OTHERS
    code = texts()
    assert {part for part in wanted if part not in code} == set()
    assert len(wanted) > 20


def slug(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@named
def test_links_to_headings_lead_to_one(page: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
        target = (page.parent / path) if path else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
        assert anchor in map(slug, headings), f"{target.name}#{anchor}"


def test_each_provider_is_in_the_table_of_keys() -> None:
    from neurolink_mitm.core.providers.catalog import PROVIDERS

    rows = re.findall(
        r"^\| `([\w-]+)` \| (.*?) \| `(\w+)` \|$", section("fallback.md", "Keys"), re.MULTILINE
    )
    told = {name: (set(re.findall(r"`(\w+)`", source)), litellm) for name, source, litellm in rows}
    known = {name: ({*each.keys, *each.ambient}, each.litellm) for name, each in PROVIDERS.items()}
    assert told == known


def test_files_that_are_told_of_exist() -> None:
    """Pages of the repository that the README's list names."""
    listed = re.findall(r"\]\(((?:docs|configs)/[^)]+)\)", (ROOT / "README.md").read_text())
    assert [name for name in listed if not (ROOT / name).exists()] == []
    assert {page.name for page in DOCS.glob("*.md")} <= {Path(name).name for name in listed}
