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
    edited,
    order,
    primary,
    set_order,
    set_primary,
    swap_in,
)
from neurolink_mitm.config.editable import Change
from neurolink_mitm.config.file import load
from neurolink_mitm.config.history import History
from neurolink_mitm.core.logs.audit import Actor
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.records.audit import changes

EXAMPLE = Path(__file__).parents[2] / "configs" / "proxy.yaml"
ENV = {"KEY_1": "sk-ant-test-1", "KEY_2": "k", "CLIENT_KEY": "c", "OPENAI_API_KEY": "o"}

YAML = Path("proxy-config.yaml")


def in_yaml(text: str, *changes: Change) -> str:
    return edited(YAML, text.encode(), changes, ENV).decode()


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


@pytest.mark.parametrize("label", ["12", "yes", "null", "1e3", "a: b", "#x", "ä", "$X", '"'])
def test_any_label_is_read_back_as_it_is(label: str) -> None:
    new = in_yaml("version: 1\nrouting: {strategy: fill-first}\n", primary(label))
    assert yaml.safe_load(new)["routing"]["primary-account"] == label


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("--- # only\n...\n", id="end of document"),
        pytest.param("a: &x {strategy: fill-first}\nrouting: *x\n", id="alias"),
        pytest.param(
            "routing: {\n  primary-account: &p old, # why\n  account-order: [*p]}\n",
            id="its anchor is used",
        ),
    ],
)
def test_what_can_not_be_changed_safely_is_refused(text: str) -> None:
    with pytest.raises(NotEditableError, match="by hand"):
        in_yaml(text, primary("work"))


def account(name: str, key: str, value: object) -> Change:
    return Change(("accounts", "anthropic", name, key), value)  # type: ignore[arg-type]


def routing(key: str, value: object) -> Change:
    return Change(("routing", key), value)  # type: ignore[arg-type]


LISTED = (
    'accounts:\n  anthropic:\n  - name: a # one\n    weight: &w 2\n  - {name: "b", apiKey: k}\n'
)
CHAIN = """\
routing:
  fallback-chain:
    # cheap first
    - provider: openai # mine
      model: gpt-4o-mini
    # then the other

    - {provider: groq, model: "x"} # theirs
"""

EDITS = [
    pytest.param(
        LISTED, account("a", "weight", 3), LISTED.replace("&w 2", "&w 3"), id="an anchor"
    ),
    pytest.param(
        LISTED, account("a", "rateLimit", 60),
        LISTED.replace("&w 2\n", "&w 2\n    rateLimit: 60\n"), id="an account's new key",
    ),
    pytest.param(
        LISTED, account("b", "enabled", False),
        LISTED.replace("apiKey: k", "apiKey: k, enabled: false"), id="an account in flow style",
    ),
    pytest.param(
        LISTED, account("c", "priority", -1), LISTED + "  - {name: c, priority: -1}\n",
        id="a stored login without an entry",
    ),
    pytest.param(
        "version: 1", account("a b", "excludedModels", ["claude-opus-*"]),
        "version: 1\naccounts:\n  anthropic:\n    - {name: \"a b\", excludedModels: [claude-opus-*]}",
        id="no accounts",
    ),
    pytest.param(
        "accounts: {anthropic: []} # none\n", account("a", "weight", 0.5),
        "accounts: {anthropic: [{name: a, weight: 0.5}]} # none\n", id="an empty list of accounts",
    ),
    pytest.param(
        "accounts: {anthropic: [{name: a, weight: 5, priority: 1}]}\n", account("a", "weight", None),
        "accounts: {anthropic: [{name: a, priority: 1}]}\n", id="an account's key away",
    ),
    pytest.param(
        "accounts: {anthropic: [{apiKey: x}, {apiKey: y}]}\n", account("unnamed-2", "weight", 2),
        "accounts: {anthropic: [{apiKey: x}, {apiKey: y, weight: 2}]}\n", id="without a name",
    ),
    pytest.param(
        "accounts: {anthropic: [{name: 'x'}, {name: '${KEY_2}'}]}\n", account("k", "weight", 2),
        "accounts: {anthropic: [{name: 'x'}, {name: '${KEY_2}', weight: 2}]}\n", id="name from a variable",
    ),
    pytest.param(
        CHAIN, routing("fallbackChain", [{"provider": "groq", "model": "x"}]),
        CHAIN.replace("    - provider: openai # mine\n      model: gpt-4o-mini\n", ""), id="an item away",
    ),
    pytest.param(
        CHAIN,
        routing("fallbackChain", [
            {"provider": "openai", "model": "gpt-4o-mini"}, {"provider": "vertex", "model": "g"},
            {"provider": "groq", "model": "x"},
        ]),
        CHAIN.replace("4o-mini\n", "4o-mini\n    - {provider: vertex, model: g}\n"), id="an item between",
    ),
    pytest.param(
        CHAIN, routing("fallbackChain", []), "routing:\n    # cheap first\n    # then the other\n\n",
        id="a list away, its comments stay",
    ),
    pytest.param(
        "routing:\n  passthrough-models: [a,\n    b] # c\n", routing("passthroughModels", ["b"]),
        "routing:\n  passthrough-models: [b] # c\n", id="a list of two lines",
    ),
    pytest.param(
        "logging: {capture-bodies: off}\n", Change(("logging", "captureBodies"), "all"),
        "logging: {capture-bodies: all}\n", id="off without quotes",
    ),
    pytest.param(
        "logging: {capture-bodies: 'all'}\n", Change(("logging", "captureBodies"), "off"),
        "logging: {capture-bodies: 'off'}\n", id="quotes stay",
    ),
    pytest.param(
        "d: &d {hold: 5}\nrouting:\n  <<: *d\n", routing("hold", 7),
        "d: &d {hold: 5}\nrouting:\n  <<: *d\n  hold: 7\n", id="over a merged key",
    ),
    pytest.param(
        "d: &d 5\nrouting:\n  hold: *d # as d\n", routing("hold", 7),
        "d: &d 5\nrouting:\n  hold: 7 # as d\n", id="in place of an alias",
    ),
    pytest.param(
        "routing:\n  hold: ${H:-5}\ntimeouts:\n", routing("hold", 1e22),
        "routing:\n  hold: 1.0e+22\ntimeouts:\n", id="in place of a variable",
    ),
    pytest.param(
        "\ufeffrouting:\r\n  hold: 5 # x\r\n\r\n", Change(("timeouts", "firstEvent"), 9),
        "\ufeffrouting:\r\n  hold: 5 # x\r\ntimeouts:\r\n  first-event: 9\r\n\r\n", id="BOM and CRLF",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "change", "new"), EDITS)
def test_one_value_changes_and_every_other_character_stays(
    old: str, change: Change, new: str
) -> None:
    made = edited(YAML, old.encode(), [change], ENV).decode()
    assert made == new


JSON = '{\n\t"version": 1,\n\t"routing": {"strategy": "fill-first"},\n\t"timeouts": {\n\t\t"idle": 5\n\t}\n}'


@pytest.mark.parametrize(
    ("old", "change", "new"),
    [
        pytest.param(JSON, Change(("timeouts", "idle"), 60), JSON.replace("5", "60"), id="number"),
        pytest.param(
            JSON, Change(("timeouts", "connect"), 1),
            JSON.replace('"idle"', '"connect": 1,\n\t\t"idle"'), id="new key",
        ),
        pytest.param(
            JSON, account("a", "weight", 2),
            JSON.replace('"version"', '"accounts": {"anthropic": [{"name": "a", "weight": 2}]},\n\t"version"'),
            id="account",
        ),
        pytest.param("", Change(("timeouts", "idle"), 60), '{\n  "timeouts": {\n    "idle": 60\n  }\n}\n', id="empty"),
    ],
)  # fmt: skip
def test_json_keeps_its_form(old: str, change: Change, new: str) -> None:
    assert edited(Path("c.json"), old.encode(), [change], ENV).decode() == new


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("d: &d {hold: 5}\nrouting: {<<: *d}\n", id="merged"),
        pytest.param("routing: {hold: &h 5, daily-cap-usd: *h}\n", id="anchor with an alias"),
        pytest.param("routing: [\n", id="broken"),
        pytest.param("routing: {hold: 1}\nrouting: {hold: 2}\n", id="twice"),
        pytest.param("routing: [hold]\n", id="no section"),
        pytest.param("routing: {hold: # why\n  5}\n", id="comment within"),
    ],
)
def test_what_would_change_more_is_refused(text: str) -> None:
    with pytest.raises((NotEditableError, ConfigError)):
        in_yaml(text, Change(("routing", "hold"), None), Change(("routing", "hold"), 3))
    with pytest.raises((NotEditableError, ConfigError)):
        in_yaml(text, Change(("routing", "hold"), None))


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
    assert json.loads(path.read_text()) == {"version": 1}


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
    swap_in(path, b"version: 1\n", copy, audit, ENV, History(tmp_path / "history", path))
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("version: 1 # new\n", 0o640)
    assert not copy.exists()


def test_a_file_that_was_changed_meanwhile_is_left_so(tmp_path: Path, audit: Audit) -> None:
    path = tmp_path / "proxy-config.yaml"
    path.write_text("version: 1\n")
    copy, _ = copy_for_editing(path)
    path.write_text("version: 1 # by another\n")
    with pytest.raises(ChangedError):
        swap_in(path, b"version: 1\n", copy, audit, ENV, History(tmp_path / "history", path))
    assert (path.read_text(), copy.exists()) == ("version: 1 # by another\n", True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1\n", "version: 1\nrouting:\n  account-order: [work, home]\n"),
        (
            "routing:\n  strategy: fill-first # why\n",
            "routing:\n  strategy: fill-first # why\n  account-order: [work, home]\n",
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


@pytest.mark.parametrize("name", ["c.yaml", "c.json"])
def test_what_an_edit_has_added_goes_with_it(tmp_path: Path, audit: Audit, name: str) -> None:
    path = tmp_path / name
    texts = (
        (b'{"version": 1}', b'{\n  "version": 1\n}\n')
        if name.endswith("json")
        else (
            b"version: 1\n", b"version: 1", b"version: 1\r\n", b"version: 1\n\n# end\n\n", b"# only\n",
            b"\xef\xbb\xbfversion: 1\n\n", b"routing:\n  # mine\nversion: 1\n",
            b"version: 1\nrouting:\n  hold: 5", b"routing: # mine\nversion: 1\n",
        )
    )  # fmt: skip
    for text in texts:
        path.write_bytes(text)
        set_primary(path, "work", audit)
        set_primary(path, None, audit)
        assert path.read_bytes() == text


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
    swap_in(path, path.read_bytes(), copy, audit, ENV, History(tmp_path / "history", path))
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
