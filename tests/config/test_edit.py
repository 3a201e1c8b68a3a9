from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.files import ChangedError
from neurolink_mitm.config.edit import (
    NotEditableError,
    copy_for_editing,
    in_yaml,
    order,
    primary,
    set_order,
    set_primary,
    swap_in,
)
from neurolink_mitm.config.file import load
from neurolink_mitm.core.logs.audit import Actor
from neurolink_mitm.records.audit import changes

EXAMPLE = Path(__file__).parents[2] / "configs" / "proxy.yaml"
ENV = {"KEY_1": "sk-ant-test-1", "KEY_2": "k", "CLIENT_KEY": "c", "OPENAI_API_KEY": "o"}

TEXTS = [
    pytest.param("", id="empty"),
    pytest.param("# a comment\n", id="a comment only"),
    pytest.param("version: 1", id="no line end"),
    pytest.param("version: 1\nrouting:  # why\n", id="nothing in the section"),
    pytest.param("routing: null # why\nversion: 1\n", id="null"),
    pytest.param("routing: {} # why\n", id="an empty section"),
    pytest.param(
        "routing:\n    # why\n    strategy: fill-first   # which\nversion: 1\n", id="deep"
    ),
    pytest.param("routing:\n  primaryAccount: 'old' # why\n  strategy: fill-first\n", id="camel"),
    pytest.param("routing:\n  strategy: fill-first\n  primary-account: old # why", id="last"),
    pytest.param("routing:\n  primary-account:\nversion: 1\n", id="key without value"),
    pytest.param("routing: {strategy: fill-first, primary-account: old} # x\n", id="flow, last"),
    pytest.param("routing: {primary-account: old, strategy: fill-first}\n", id="flow, first"),
    pytest.param("{version: 1}\n", id="all in flow"),
    pytest.param("version: 1\r\nrouting:\r\n  strategy: fill-first # x\r\n", id="CRLF"),
    pytest.param(
        "accounts:\n    anthropic:\n      - name: a # one\n\n      - name: b\n", id="lists"
    ),
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_value_is_set_changed_and_taken_away(text: str) -> None:
    for label in ("work", "a b: c", None):
        text = in_yaml(text, primary(label))
        routing = (yaml.safe_load(text) or {}).get("routing") or {}
        assert label in (routing.get("primary-account"), routing.get("primaryAccount"))


@pytest.mark.parametrize("text", TEXTS)
def test_comments_and_line_ends_stay(text: str) -> None:
    new = in_yaml(text, primary("work"))
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert [line.partition("#")[2] for line in new.splitlines() if "#" in line] == comments
    assert ("\r\n" in text) == ("\r\n" in new)
    assert new.count("\r\n") in (0, new.count("\n"))


def test_the_example_changes_by_one_line() -> None:
    old = EXAMPLE.read_text()
    new = in_yaml(old, primary("work"))
    assert sorted({*new.splitlines()} - {*old.splitlines()}) == ["  primary-account: work"]
    assert in_yaml(new, primary(None)) == old


@pytest.mark.parametrize("label", ["12", "yes", "null", "1e3", "a: b", "#x", "ä", "${X}", '"'])
def test_any_label_is_read_back_as_it_is(label: str) -> None:
    new = in_yaml("version: 1\nrouting: {strategy: fill-first}\n", primary(label))
    assert yaml.safe_load(new)["routing"]["primary-account"] == label


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("---\nversion: 1\n...\n", id="end of document"),
        pytest.param("a: &x {strategy: fill-first}\nrouting: *x\n", id="alias"),
        pytest.param(
            "routing: {\n  strategy: fill-first,\n  primary-account: old}\n",
            id="flow of several lines",
        ),
    ],
)
def test_what_can_not_be_changed_safely_is_refused(text: str) -> None:
    with pytest.raises(NotEditableError, match="by hand"):
        in_yaml(text, primary("work"))


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path / "logs", Actor.DASHBOARD)


def test_a_new_file_is_its_owners_and_loads(tmp_path: Path, audit: Audit) -> None:
    path = tmp_path / "proxy-config.yaml"
    set_primary(path, "work", audit)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(path, ENV).config.routing.primary_account == "work"


def test_a_file_keeps_its_mode(tmp_path: Path, audit: Audit) -> None:
    path = tmp_path / "proxy-config.yaml"
    path.write_text("version: 1\n")
    path.chmod(0o640)
    set_primary(path, "work", audit)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_json_is_changed_too(tmp_path: Path, audit: Audit) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"version": 1, "routing": {"primaryAccount": "old"}}')
    set_primary(path, "work", audit)
    assert json.loads(path.read_text())["routing"] == {"primaryAccount": "work"}
    set_primary(path, None, audit)
    assert json.loads(path.read_text()) == {"version": 1, "routing": {}}


def test_an_edited_copy_takes_the_place_of_the_file_and_of_its_mode(
    tmp_path: Path, audit: Audit
) -> None:
    path = tmp_path / "proxy-config.yaml"
    path.write_text("version: 1\n")
    path.chmod(0o640)
    copy, left_over = copy_for_editing(path)
    assert (copy.name, copy.read_text(), left_over) == (
        "proxy-config.edit.yaml",
        "version: 1\n",
        False,
    )
    copy.write_text("version: 1 # new\n")
    assert copy_for_editing(path) == (copy, True)
    swap_in(path, b"version: 1\n", copy, audit, ENV)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("version: 1 # new\n", 0o640)
    assert not copy.exists()


def test_a_file_that_was_changed_meanwhile_is_left_so(tmp_path: Path, audit: Audit) -> None:
    path = tmp_path / "proxy-config.yaml"
    path.write_text("version: 1\n")
    copy, _ = copy_for_editing(path)
    path.write_text("version: 1 # by another\n")
    with pytest.raises(ChangedError):
        swap_in(path, b"version: 1\n", copy, audit, ENV)
    assert (path.read_text(), copy.exists()) == ("version: 1 # by another\n", True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1\n", "version: 1\nrouting:\n  account-order: [work, home]\n"),
        (
            "routing:\n  strategy: fill-first # why\n",
            "routing:\n  account-order: [work, home]\n  strategy: fill-first # why\n",
        ),
        (
            "routing:\n  accountOrder: [a] # mine\n",
            "routing:\n  accountOrder: [work, home]",
        ),
    ],
    ids=["new", "beside", "camel"],
)
def test_the_order_is_written_in_one_line(tmp_path: Path, audit: Audit, old: str, new: str) -> None:
    path = tmp_path / "proxy-config.yaml"
    path.write_text(old)
    set_order(path, ["work", "home"], audit)
    assert path.read_text().startswith(new)
    assert load(path, ENV).config.routing.account_order == ("work", "home")
    set_order(path, [], audit)
    assert load(path, ENV).config.routing.account_order == ()


def test_a_label_that_yaml_would_read_otherwise_is_quoted() -> None:
    new = in_yaml("version: 1\n", order(["on", "a, b", "x@example.com"]))
    assert yaml.safe_load(new)["routing"]["account-order"] == ["on", "a, b", "x@example.com"]


def test_every_change_is_in_the_audit_log_with_what_was_before(
    tmp_path: Path, audit: Audit
) -> None:
    path = tmp_path / "proxy-config.yaml"
    path.write_text("version: 1\nrouting: {primary-account: old, account-order: [b]}\n")
    assert set_primary(path, "work", audit) == "old"
    set_primary(path, "work", audit)  # changes nothing
    set_primary(path, None, audit)
    assert set_order(path, ["a", "b"], audit) == ["b"]
    copy, _ = copy_for_editing(path)
    copy.write_text(
        "version: 1\ntimeouts: {idle: 5}\naccounts: {anthropic: [{name: w, apiKey: sk-ant-x-y}]}\n"
    )
    swap_in(path, path.read_bytes(), copy, audit, ENV)
    rows = [(row["action"], row["before"], row["after"]) for row in changes(audit.logs, 9)]
    assert rows[:3] == [
        ("set-primary", "old", "work"), ("clear-primary", "work", None), ("order", ["b"], ["a", "b"]),
    ]  # fmt: skip
    action, before, after = rows[3]
    assert (action, before["routing.accountOrder"], after["timeouts.idle"]) == (
        "config edit",
        ["a", "b"],
        5,
    )
    assert after["accounts.anthropic.w.apiKey"] == "**********"
