from __future__ import annotations

import io
import sys

import pytest

from neurolink_mitm.cli import steps


class Terminal(io.StringIO):
    """Where somebody looks."""

    def isatty(self) -> bool:
        return True


def test_piped_they_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    steps.done("one")
    steps.skipped("two")
    with pytest.raises(SystemExit) as ended:
        steps.failed("three")
    assert ended.value.code == 1
    assert capsys.readouterr() == ("[ok] one\n[--] two\n", "[failed] three\n")


def test_on_a_terminal_they_are_ticked(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    steps.done("one")
    assert shown.getvalue() == "\x1b[32m✓\x1b[0m one\n"


def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setenv("NO_COLOR", "1")
    steps.done("one")
    assert shown.getvalue() == "[ok] one\n"
