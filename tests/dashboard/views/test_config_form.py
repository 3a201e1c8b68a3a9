from __future__ import annotations

import pytest

from neurolink_mitm.config.document import parse
from neurolink_mitm.config.editable import Change
from neurolink_mitm.config.schema import entries
from neurolink_mitm.dashboard.views.config_form import Field, Section, sections
from neurolink_mitm.dashboard.views.filled_form import filled

DOCUMENT = {
    "routing": {"hold": "${HOLD}", "passthrough-models": ["${M}", "b"], "daily-cap-usd": 1e16},
    "accounts": {
        "anthropic": [
            {"name": "a.b", "weight": 2.0, "apiKey": "k"},
            {"name": "sk-ant-api03-AAAAAAAAAAAA"},
        ]
    },
    "providers": {"openai": {"baseUrl": "http://127.0.0.1:1/v1"}},
    "prices": {"claude-*": {"input": 1, "output": 2}},
    "cluster": {"url": "redis://:a-password@127.0.0.1:1/0"},
    "cloaking": {"plugins": {"tlsFingerprint": {"pins": {"example.com": ["0" * 64]}}}},
}
MAPPINGS = "routing.modelMappings"
CONFIG = parse(DOCUMENT, {"HOLD": "5", "M": "a"}).config


def made() -> list[Section]:
    return sections(CONFIG, DOCUMENT, ["stored"])


def fields() -> dict[str, Field]:
    return {each.name: each for section in made() for each in section.fields}


def test_every_key_is_shown_with_its_meaning() -> None:
    shown = fields()
    for entry in entries():
        if (
            entry.nested
            or "*" in entry.path
            or "[]" in entry.path
            or entry.path.startswith("accounts")
        ):
            continue
        assert any(each == entry.path or each.startswith(f"{entry.path}.") for each in shown), (
            entry.path
        )
    assert all(each.meaning and "](" not in each.meaning for each in shown.values())


@pytest.mark.parametrize(
    ("name", "kind", "text", "origin"),
    [
        ("routing.hold", "number", "5", "file: ${HOLD}"),
        ("routing.strategy", "choice", "", "default"),
        ("routing.sessionAffinity", "flag", "1", "default"),
        ("routing.passthroughModels", "", "", "file: ${M}"),
        ("routing.dailyCapUsd", "number", "1e+16", "file"),
        ("accounts.anthropic.a.b.weight", "number", "2", "file"),
        ("accounts.anthropic.stored.rateLimit", "number", "", "default"),
        ("providers.openai.baseUrl", "", "", "file"),
        ("cloaking.plugins.tlsFingerprint.pins.example.com", "", "", "file"),
    ],
)
def test_what_may_be_edited_has_an_input(name: str, kind: str, text: str, origin: str) -> None:
    shown = fields()[name]
    assert (shown.kind, shown.input, shown.origin) == (kind, text, origin)
    assert bool(shown.why) == (not shown.kind)


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ({"routing.hold": " 5 "}, None),
        ({"routing.hold": "+7"}, Change(("routing", "hold"), 7)),
        ({"routing.hold": "0.5"}, Change(("routing", "hold"), 0.5)),
        ({"routing.hold": "1_0"}, Change(("routing", "hold"), "1_0")),
        ({"routing.hold": "1e999"}, Change(("routing", "hold"), "1e999")),
        ({"routing.hold": "9" * 5000}, Change(("routing", "hold"), "9" * 5000)),
        ({"routing.hold": "\u0665"}, Change(("routing", "hold"), "\u0665")),
        ({"routing.hold": ""}, Change(("routing", "hold"), None)),
        ({"routing.sessionAffinity": "0"}, Change(("routing", "sessionAffinity"), False)),
        ({"routing.accountOrder": "\r\n b\r\n\r\na "}, Change(("routing", "accountOrder"), ["b", "a"])),
        ({"accounts.anthropic.a.b.weight": ""}, Change(("accounts", "anthropic", "a.b", "weight"), None)),
        ({"routing.passthroughModels": "x", "routing": "x", "notify.command": "sh"}, None),
        ({"accounts.anthropic.nobody.weight": "1", "accounts.anthropic.a.b.apiKey": "x"}, None),
        (
            {f"{MAPPINGS}.0.from": "a", f"{MAPPINGS}.0.to": "b", f"{MAPPINGS}.0.provider": ""},
            Change(("routing", "modelMappings"), [{"from": "a", "to": "b"}]),
        ),
    ],
    ids=lambda value: "" if isinstance(value, Change) else str(value)[:40],
)  # fmt: skip
def test_what_differs_from_what_was_shown_is_a_change(
    form: dict[str, str], change: Change | None
) -> None:
    assert filled(made(), form).changes == ([change] if change else [])


def test_a_section_that_is_changed_in_the_file_only_says_why() -> None:
    assert [each.title for each in made() if not (each.editable or each.why)] == []
    assert "a-password" not in repr(made())
