from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from neurolink_mitm.config.edit import edited
from neurolink_mitm.config.editable import Change, NotEditableError
from neurolink_mitm.config.file import document_of
from neurolink_mitm.core.settings.errors import ConfigError

FILE = Path("proxy-config.yaml")
COMMENTS = st.sampled_from(["", "", " # why", "   # it's: [x, {y}", "\t# tab"])
LINES = st.lists(st.sampled_from(["", "# a comment", "  # deep: 5", "#x"]), max_size=2)
TEXTS = st.sampled_from(["work", "'it''s'", '"a: b"', "on", "ä", "5", "x y", "&t text", "~", ""])
NUMBERS = st.sampled_from(["5", "0.5", "'7'", "1e3", "!!int 3", "${N:-4}", "null", ""])
LISTS = st.lists(st.sampled_from(["a", "'b'", "claude-*", "{from: x, to: y}"]), max_size=3)
LABELS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
KEYS: dict[str, Any] = {
    "routing": {"hold": NUMBERS, "primary-account": TEXTS, "passthroughModels": LISTS, "strategy": TEXTS},
    "timeouts": {"idle": NUMBERS, "first-event": NUMBERS},
    "logging": {"maxAgeDays": NUMBERS},
    "notify": {"command": LISTS, "webhook": TEXTS},
}  # fmt: skip
CHANGES = st.one_of(
    st.builds(Change, st.just(("routing", "hold")), st.sampled_from([None, 0, 7, 2.5])),
    st.builds(Change, st.just(("timeouts", "firstEvent")), st.sampled_from([None, 1])),
    st.builds(Change, st.just(("routing", "primaryAccount")), st.none() | LABELS),
    st.builds(Change, st.just(("routing", "passthroughModels")), st.lists(st.sampled_from(["a", "b", "*", "- x"]))),
    st.builds(Change, st.just(("accounts", "anthropic", "work", "weight")), st.sampled_from([None, 3])),
)  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> str:
    """Configuration files in many styles, with comments wherever they may be."""
    indent = " " * draw(st.sampled_from([1, 2, 4]))
    lines = draw(LINES)
    for section in draw(st.permutations(sorted(KEYS)))[: draw(st.integers(0, 4))]:
        keys = draw(st.lists(st.sampled_from(sorted(KEYS[section])), unique=True))
        if draw(st.booleans()):
            pairs = ", ".join(f"{key}: {_flow(draw(KEYS[section][key]))}" for key in keys)
            lines += [f"{section}: {{{pairs}}}{draw(COMMENTS)}", *draw(LINES)]
            continue
        lines += [f"{section}:{draw(COMMENTS)}", *draw(LINES)]
        for key in keys:
            lines += _block(draw, indent, key, draw(KEYS[section][key]))
    if draw(st.booleans()):
        lines += ["accounts:", f"{indent}anthropic:", f"{indent}- name: 'work'{draw(COMMENTS)}"]
        lines += [f"{indent}  weight: {draw(NUMBERS)}"] * draw(st.integers(0, 1)) + draw(LINES)
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    return newline.join(lines) + newline * draw(st.integers(0, 1))


def _flow(value: str | list[str]) -> str:
    return value if isinstance(value, str) else f"[{', '.join(value)}]"


def _block(draw: st.DrawFn, indent: str, key: str, value: str | list[str]) -> list[str]:
    if isinstance(value, list) and value and draw(st.booleans()):
        items = [f"{indent}{indent}- {each}{draw(COMMENTS)}" for each in value]
        return [f"{indent}{key}:", *draw(LINES), *items, *draw(LINES)]
    return [f"{indent}{key}: {_flow(value)}{draw(COMMENTS)}", *draw(LINES)]


@given(files(), CHANGES)
def test_an_edit_changes_one_value_and_no_other_character(text: str, change: Change) -> None:
    try:
        made = edited(FILE, text.encode(), [change], {}).decode()
    except NotEditableError:
        return
    except ConfigError:
        assume(False)
    old, new = _document(text), _document(made)
    _without_value(old, change)
    _without_value(new, change)
    assert new == old
    before = _common(text, made)
    after = _common(text[len(before) :][::-1], made[len(before) :][::-1])
    cut = text[len(before) : len(text) - len(after)]
    if "\n" in cut or "#" in cut:  # a key or items are taken away, each whole with its line
        assert not change.value or isinstance(change.value, list)
    assert _comments(text) <= _comments(made)
    assert ("\r\n" in text) == ("\r\n" in made) or "\n" not in text + made
    assert made.count("\n") == made.count("\r\n") or "\r\n" not in made


def _document(text: str) -> Any:
    return document_of(FILE, text.encode()) or {}


def _common(text: str, other: str) -> str:
    """Return what both begin with."""
    same = (n for n, (a, b) in enumerate(zip(text, other, strict=False)) if a != b)
    return text[: next(same, min(len(text), len(other)))]


def _comments(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.lstrip().startswith("#")}


def _without_value(document: dict[str, Any], change: Change) -> None:
    """Take the value away, and what is empty without it."""
    section: Any = document
    for key in change.loc[:-1]:
        if isinstance(section, list):
            section = next((each for each in section if each.get("name") == key), None)
        else:
            section = (section or {}).get(key)
    key = change.loc[-1]
    kebab = "".join(f"-{each.lower()}" if each.isupper() else each for each in key)
    for spelling in (key, kebab):
        (section or {}).pop(spelling, None)
    if change.loc[0] == "accounts":
        entries = (document.get("accounts") or {}).get("anthropic") or []
        entries[:] = [each for each in entries if each != {"name": "work"}]
    for name in [name for name, each in document.items() if each in (None, {}, {"anthropic": []})]:
        del document[name]
