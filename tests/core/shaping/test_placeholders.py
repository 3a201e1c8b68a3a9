from __future__ import annotations

import re

from neurolink_mitm.core.shaping.placeholders import FORM, Placeholders


def test_the_same_word_has_the_same_one_with_the_same_key() -> None:
    one, again, other = Placeholders(b"a"), Placeholders(b"a"), Placeholders(b"b")
    assert one.make("WORD", "x") == again.make("WORD", "x") != other.make("WORD", "x")


def test_its_form_fits_the_name_of_a_tool() -> None:
    made = Placeholders(b"a").make("EMAIL", "bob@corp.example")
    assert FORM.fullmatch(made)
    assert re.fullmatch(r"[a-zA-Z0-9_]{1,22}", made)
