from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.providers.chat.think import ThinkTags
from tests.linear import assert_linear


def told(*pieces: str) -> tuple[str, str]:
    """The thinking, and the text."""
    tags = ThinkTags()
    given = [each for piece in pieces for each in tags.feed(piece)]
    given += tags.end()
    assert [kind for kind, _ in given] == sorted((kind for kind, _ in given), reverse=True)
    return tuple("".join(words for kind, words in given if kind == which) for which in KINDS)  # type: ignore[return-value]


KINDS = ("thinking", "text")
CASES: dict[str, tuple[str, str, str]] = {
    "tags": ("<think>hm</think>\n\nso", "hm", "so"),
    "the longer tag": ("<thinking>hm</thinking>so", "hm", "so"),
    "white space before": ("\n <think>hm</think> so", "hm", "so"),
    "no tags": ("  so <think>x</think>", "", "  so <think>x</think>"),
    "nothing but white space": (" \n", "", " \n"),
    "another tag": ("<thin", "", "<thin"),
    "a comparison": ("<b>so", "", "<b>so"),
    "no end": ("<think>hm </thi", "hm </thi", ""),
    "a tag within it": ("<think>a < b <<</think>so", "a < b <<", "so"),
    "no thinking": ("<think>\n</think>so", "\n", "so"),
    "far white space": (" " * 300 + "<think>hm", "", " " * 300 + "<think>hm"),
}


@pytest.mark.parametrize(("text", "thinking", "words"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_thinking_is_told_from_text(text: str, thinking: str, words: str, size: int) -> None:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert told(*pieces) == (thinking, words)


WORDS = st.sampled_from(["<think>", "</think>", "<thinking>", "<", "/think", ">", "a", " ", "\n"])


@given(st.lists(WORDS, max_size=12), st.data())
def test_any_split_gives_the_same(words: Sequence[str], data: st.DataObject) -> None:
    text = "".join(words)
    at = data.draw(st.integers(0, len(text)))
    assert told(text[:at], text[at:]) == told(text) == told(*text)


@pytest.mark.parametrize("unit", [" ", "<", "<think>", "<think></think> ", "a"], ids=repr)
def test_it_is_linear(unit: str) -> None:
    assert_linear(lambda text: told(*text), lambda size: unit * (size // len(unit)))
