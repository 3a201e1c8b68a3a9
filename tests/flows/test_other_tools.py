"""Codex, Aider and Continue correct a file through the proxy while the first account is limited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import tool_installs as installs
from tests.flows.other_tools import RIGHT, THOUGHT, Report, run

pytestmark = pytest.mark.timeout(700)


def check(report: Report, api: str) -> None:
    """The file is right, the first request moved on to account b, all that was asked of us was served."""
    assert (report.code, report.file) == (0, RIGHT), report.output
    first, *others = [row for row in report.rows if row.get("api") == api]
    assert (first["outcome"], first["attempts"], first["account"]) == ("complete", 2, "b")
    assert [row["account"] for row in others] == ["b"] * len(others)


def results_in(report: Report) -> list[dict[str, Any]]:
    """Return the results of tools in the last request."""
    blocks = [block for each in report.asked[-1]["messages"] for block in each["content"]]
    return [block for block in blocks if block["type"] == "tool_result"]


@pytest.mark.real("npm")
def test_codex_runs_commands(tmp_path: Path) -> None:
    """A call of a tool in a namespace is one there; a picture that it shows the model arrives as one."""
    report = run("codex", installs.codex(), tmp_path)
    check(report, "openai-responses")
    assert report.outside <= 0
    words, picture = results_in(report)[-2:]
    assert "invalid agent id x" in words["content"][0]["text"]
    assert picture["content"][0]["type"] == "image"


@pytest.mark.real("npm")
def test_codex_patches_under_a_mapped_name_after_it_tried_a_websocket(tmp_path: Path) -> None:
    report = run("codex gpt-5.5", installs.codex(), tmp_path)
    check(report, "openai-responses")
    assert {body["model"] for body in report.asked} == {"claude-sonnet-5"}
    assert "Falling back" not in report.output  # as after seven tries
    thought = report.asked[-1]["messages"][1]["content"][0]
    assert (thought["type"], thought["thinking"]) == ("thinking", THOUGHT)


@pytest.mark.real("npm")
def test_codex_calls_tools_from_javascript(tmp_path: Path) -> None:
    """As with the models that it has by default: its tools come within the conversation."""
    check(run("codex gpt-6.1-sol", installs.codex(), tmp_path), "openai-responses")


@pytest.mark.real("aider")
def test_aider_edits_and_commits(tmp_path: Path) -> None:
    report = run("aider", installs.aider(), tmp_path)
    check(report, "openai-chat")
    assert "Warning for" not in report.output
    assert "fix: spelling" in report.output
    assert [body["model"] for body in report.asked] == ["claude-sonnet-5", "claude-haiku-4-5"]
    assert report.outside <= 0


@pytest.mark.real("npm")
def test_continue_calls_tools_over_turns(tmp_path: Path) -> None:
    """It asks its maker for its newest version, come what may."""
    check(run("continue", installs.continue_(), tmp_path), "openai-chat")


@pytest.mark.real("npm")
def test_continue_uses_responses_for_the_names_of_openais(tmp_path: Path) -> None:
    check(run("continue gpt-5.5", installs.continue_(), tmp_path), "openai-responses")
