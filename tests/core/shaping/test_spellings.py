from __future__ import annotations

from neurolink_mitm.core.shaping.spellings import host_spellings, spellings


def test_a_plain_word_differs_by_case_alone() -> None:
    assert {each.lower() for each in spellings(["bluebird"])} == {"bluebird"}


def test_the_longest_come_first() -> None:
    found = spellings(["a", "m\u00fc"])
    assert found == sorted(found, key=len, reverse=True)
    assert {"m\u00fc", "mu\u0308", "m\\u00fc", "m%C3%BC"} <= set(found)


def test_domains_have_a_form_of_ascii() -> None:
    assert "xn--mller-kva.example" in host_spellings(["m\u00fcller.example"])
    assert "m\u00fcller.example" in host_spellings(["xn--mller-kva.example"])
    assert host_spellings(["a" * 70]) == ["a" * 70]
