from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.plugins import LENGTH, load, pipeline, read_key
from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.shaping.pipeline import Chain
from tests.core.shaping.drafts import draft


def test_it_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "shaping.key"
    key = read_key(path)
    assert len(key) == LENGTH
    assert read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "no hex", "abcd"], ids=["empty", "text", "short"])
def test_a_broken_one_is_set_aside(tmp_path: Path, content: str) -> None:
    path = tmp_path / "shaping.key"
    path.write_text(content)
    assert len(read_key(path)) == LENGTH
    [aside] = tmp_path.glob("shaping.key.corrupt-*")
    assert aside.read_text() == content


EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
GOOD = "class Mine:\n    def rewrite(self, draft):\n        return draft\n"


@pytest.fixture
def place(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.create()
    return place


def test_the_documented_example(place: Home) -> None:
    cloaking = Cloaking(plugins=Plugins(custom=("ticket_numbers.py",)))
    shaping = pipeline(cloaking, EXAMPLES, place)
    sent = shaping.shape(draft({"messages": [{"content": "CORP-12 and CORP-7"}]}))
    assert b"CORP" not in sent.body
    chain = Chain.of(sent.undo, stream=False)
    assert (
        chain.feed(sent.body) + chain.end()
        == draft({"messages": [{"content": "CORP-12 and CORP-7"}]}).body
    )
    untouched = draft({"messages": []})
    assert shaping.shape(untouched) is untouched


def test_and_together_with_the_word_obfuscator(place: Home) -> None:
    words = shaping.WordObfuscator(True, ("bluebird",))
    cloaking = Cloaking(plugins=Plugins(word_obfuscator=words, custom=("ticket_numbers.py",)))
    before = draft({"messages": [{"content": "bluebird CORP-12"}]})
    sent = pipeline(cloaking, EXAMPLES, place).shape(before)
    chain = Chain.of(sent.undo, stream=False)
    assert chain.feed(sent.body) + chain.end() == before.body


def test_a_file_is_loaded_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(GOOD)
    [(name, first)] = load(("mine.py",), tmp_path)
    file.write_text(GOOD.replace("Mine", "Another"))
    [(_, second)] = load((str(file),), Path("/nowhere"))
    assert (name, type(first).__name__, type(second).__name__) == ("mine", "Mine", "Another")
    assert [each.name for each in tmp_path.iterdir()] == ["mine.py"]


def test_a_file_may_have_dataclasses(tmp_path: Path) -> None:
    head = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
    (tmp_path / "mine.py").write_text(head + GOOD.replace("def", "count: int = 0\n    def"))
    [(_, plugin)] = load(("mine.py",), tmp_path)
    assert repr(plugin) == "Mine(count=0)"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("", "must have one class with a method `rewrite`, has 0"),
        (GOOD + GOOD.replace("Mine", "Other"), "has 2"),
        ("class Mine:\n    rewrite = 1\n", "Mine has no method `rewrite`"),
        ("def", "can't be loaded: SyntaxError"),
        ("1/0", "can't be loaded: ZeroDivisionError"),
        (GOOD + "    def __init__(self, a): ...\n", "can't be loaded: TypeError"),
    ],
    ids=["none", "two", "no-method", "no-python", "breaks", "wants-arguments"],
)
def test_what_can_not_be_loaded_is_a_fault(tmp_path: Path, source: str, fault: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(ConfigError, match=fault) as caught:
        list(load(("mine.py",), tmp_path))
    assert str(caught.value).startswith("cloaking.plugins.custom[0]: ")


@pytest.mark.parametrize(("name", "fault"), [("x.py", "no such file"), ("x", "nor an entry point")])
def test_what_is_not_there_is_a_fault(tmp_path: Path, name: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        list(load((name,), tmp_path))


def test_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "a_package-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: a-package\nVersion: 1\n")
    (package / "entry_points.txt").write_text(
        "[neurolink.shaping]\nmine = a_package_of_mine:Mine\n"
    )
    (tmp_path / "a_package_of_mine.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    [(name, plugin)] = load(("mine",), Path("/nowhere"))
    assert (name, type(plugin).__name__) == ("mine", "Mine")
    sys.modules.pop("a_package_of_mine")


@pytest.mark.parametrize(
    ("cloaking", "made"),
    [
        (Cloaking(), False),
        (Cloaking("always"), True),
        (Cloaking(plugins=Plugins(word_obfuscator=shaping.WordObfuscator(True, ("x",)))), True),
        (Cloaking("never", Plugins(word_obfuscator=shaping.WordObfuscator(True, ("x",)))), False),
    ],
    ids=["default", "always", "words", "never"],
)
def test_a_key_is_made_only_where_it_is_needed(place: Home, cloaking: Cloaking, made: bool) -> None:
    pipeline(cloaking, place.root, place)
    assert place.shaping_key.exists() is made


def test_placeholders_are_the_same_after_a_restart(place: Home) -> None:
    words = Plugins(word_obfuscator=shaping.WordObfuscator(True, ("bluebird",)))

    def sent() -> Any:
        shaping = pipeline(Cloaking(plugins=words), place.root, place)
        return json.loads(shaping.shape(draft({"messages": ["bluebird"]})).body)

    assert sent() == sent() != {"messages": ["bluebird"]}


def test_a_key_that_can_not_be_had_is_a_fault(place: Home) -> None:
    place.shaping_key.mkdir()
    with pytest.raises(ConfigError, match=r"shaping\.key: can't be read or written"):
        pipeline(Cloaking("always"), place.root, place)
