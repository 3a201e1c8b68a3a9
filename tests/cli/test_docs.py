"""`neurolink docs`."""

from __future__ import annotations

import re
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.cli import main
from neurolink_mitm.cli.docs import pages
from tests.cli.processes import NEUROLINK, ROOT, Shell
from tests.waiting import LIMIT

PAGES = sorted((ROOT / "docs").glob("*.md"))


def docs(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["docs", *arguments])


def test_the_list_has_every_page_and_what_it_is_about() -> None:
    lines = [line.split(maxsplit=1) for line in docs().stdout.splitlines()]
    about = {line[0]: line[1] for line in lines if len(line) == 2}
    assert [page.stem for page in PAGES if page.stem not in about] == []
    assert {"readme", "changelog"} <= about.keys()
    assert "](" not in docs().stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_plain_where_it_is_piped(page: Path) -> None:
    assert docs(page.stem).stdout == page.read_text()


@pytest.mark.parametrize(
    "name", ["accounts", "accounts.md", "docs/accounts.md", "Accounts", "accounts.md#moving"]
)
def test_a_page_is_found_by_what_links_call_it(name: str) -> None:
    assert docs(name).stdout.startswith("# Accounts\n")


def test_a_page_that_there_is_not() -> None:
    ended = docs("acounts")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ended.stderr == "neurolink: no page 'acounts'; did you mean accounts?\n"
    assert "troubleshooting" in docs("zzz").stderr


def shown(shell: Shell, *arguments: str, width: int, **variables: str) -> str:
    program, *words = NEUROLINK
    child = pexpect.spawn(program, [*words, "docs", *arguments], cwd=str(shell.home),
                          env={**shell.environment, "TERM": "xterm", **variables},
                          dimensions=(24, width), encoding="utf-8", timeout=LIMIT)  # fmt: skip
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|\r", "", str(child.before))


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_page_fits_the_terminal(shell: Shell, width: int) -> None:
    text = shown(shell, "troubleshooting", "--no-pager", width=width)
    assert [line for line in text.splitlines() if len(line.rstrip()) > width] == []
    assert "](" not in text
    assert "neurolink docs " in " ".join(text.split())


def test_a_terminal_has_a_pager(shell: Shell, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho paged; cat\n")
    pager.chmod(0o700)
    assert "paged\n" in shown(shell, "failures", width=80, PAGER=str(pager))


def test_an_editable_install_reads_the_checkout() -> None:
    assert pages()["readme"] == ROOT / "README.md"
