"""What a command prints for the person who runs it."""

from __future__ import annotations

import io
import json
import sys

import pytest

from neurolink_mitm.cli.ui import terminal


def test_json_is_the_report() -> None:
    report = {"running": True, "accounts": ["work"]}
    text = terminal.as_json(report)
    assert json.loads(text) == report
    assert text.endswith("}\n")


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self) -> bool:
        return True


def test_piped_they_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.done("one")
    terminal.skipped("two")
    with pytest.raises(SystemExit) as ended:
        terminal.failed("three")
    assert ended.value.code == 1
    assert capsys.readouterr() == ("[ok] one\n[--] two\n", "[failed] three\n")


def test_on_a_terminal_they_are_ticked(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    terminal.done("one")
    assert shown.getvalue() == "\x1b[32m✓\x1b[0m one\n"


def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.done("one")
    assert shown.getvalue() == "[ok] one\n"
