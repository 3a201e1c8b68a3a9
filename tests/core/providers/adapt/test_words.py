from __future__ import annotations

from neurolink_mitm.core.providers.adapt import words_of
from tests.core.providers.adapt.requests import IMAGE, TOOL


def test_words_are_counted_and_pictures_are_not() -> None:
    request = {
        "system": "sys",
        "tools": [TOOL],
        "messages": [{"role": "user", "content": [IMAGE]}],
        "model": "m",
    }
    words = words_of(request)
    assert "sys" in words
    assert "Lists." in words
    assert "eA==" not in words
