from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.providers.surrogates import Halves, mended
from tests.linear import assert_linear


def fed(*pieces: str) -> str:
    halves = Halves()
    return "".join(map(halves.feed, pieces))


@pytest.mark.parametrize(
    ("pieces", "text"),
    [(["a", "b"], "ab"), (["\ud83d", "\ude00"], "\U0001f600"), (["a\ud83d", "", "\ude00b"], "a\U0001f600b"),
     (["\ud83d", "a"], "\ufffda"), (["\ude00"], "\ufffd"), (["a\ud83d"], "a"),
     (["\ud83d\ud83d", "\ude00"], "\ufffd\U0001f600")],
)  # fmt: skip
def test_halves_are_joined(pieces: list[str], text: str) -> None:
    assert fed(*pieces) == text


@given(st.text(st.characters(categories=["Cs", "Ll", "So"]), max_size=6), st.integers(0, 6))
def test_any_split_gives_the_same_text_without_halves(text: str, at: int) -> None:
    assert fed(text[:at], text[at:], "!") == mended(f"{text}!")
    mended(text).encode()


@pytest.mark.parametrize("unit", ["a", "\ud83d", "\ud83d\ude00"], ids=ascii)
def test_it_is_linear(unit: str) -> None:
    """In short pieces, between which halves of a pair are parted."""

    def pieces(size: int) -> list[str]:
        text = unit * (size // len(unit))
        return [text[at : at + 17] for at in range(0, len(text), 17)]

    assert_linear(lambda given: fed(*given), pieces)
