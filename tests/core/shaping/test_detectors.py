from __future__ import annotations

import re
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.shaping.detectors import (
    KINDS,
    finders,
    found_in,
    host_spellings,
    spellings,
    worth_asking,
)


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


AWS, SLACK = "AKIAIOSFODNN7EXAMPLE", "xoxb-1234567890-abc"
GITHUB = "ghp_" + "a1B2" * 9
HOOK = "hooks.slack.com/services/T00000000/B00000000/" + "aB1" * 8
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CASES = [
    ("email", "mail bob.x+y@corp.example.", ["bob.x+y@corp.example"]),
    ("email", "@decorator, a@b and user@", []),
    ("ipv4", "at 10.1.2.3:80, 192.168.0.255.", ["10.1.2.3", "192.168.0.255"]),
    ("ipv4", "v1.2.3 256.1.1.1 1.2.3.4.5 x10.1.2.3 10.1.2.3x", []),
    ("ipv6", "[fe80::1]:80 and 2001:db8:0:0:0:0:2:1.", ["fe80::1", "2001:db8:0:0:0:0:2:1"]),
    ("ipv6", "std::vector 12:34:56 a::b::c :: aa:bb:cc:dd:ee:ff", []),
    ("key", f"{AWS} {GITHUB} {SLACK}", [AWS, GITHUB, SLACK]),
    ("key", "sk-learn task-force AKIA", []),
    ("key", f"to https://{HOOK}, or hooks.slack.com/help", [HOOK]),
    ("key", f"aws_secret_access_key = {AWS_SECRET}\n", [f"secret_access_key = {AWS_SECRET}"]),
    ("key", f'{{"SecretAccessKey": "{AWS_SECRET}"}}', [f'SecretAccessKey": "{AWS_SECRET}']),
    ("key", f"export AWS_SECRET_ACCESS_KEY={AWS_SECRET}", [f"SECRET_ACCESS_KEY={AWS_SECRET}"]),
    ("key", f"commit {'0f' * 20}, secret_access_key: none", []),
    ("key", "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "wanted"), CASES)
def test_kinds_of_data(kind: str, text: str, wanted: list[str] | None) -> None:
    found = [text[each.start : each.end] for each in found_in(text, [KINDS[kind]])]
    assert found == ([text] if wanted is None else wanted)


def found(text: str, **lists: list[str]) -> list[str]:
    given = {"words": [], "patterns": [], "kinds": [], "domains": [], **lists}
    return [text[each.start : each.end] for each in found_in(text, finders(**given))]


def test_words_in_any_case_and_inside_of_others() -> None:
    assert found("Bluebirds, BLUEBIRD", words=["bluebird"]) == ["Bluebird", "BLUEBIRD"]


def test_words_beyond_ascii() -> None:
    assert found("zum Kühlhaus, KÜHLHAUS", words=["kühlhaus"]) == ["Kühlhaus", "KÜHLHAUS"]


def test_hosts_below_a_domain() -> None:
    text = "db1.Corp.example, corp.example. notcorp.example corp.example.com x-corp.example"
    assert found(text, domains=["corp.example"]) == ["db1.Corp.example", "corp.example"]


def test_expressions_may_refer_back() -> None:
    assert found("abab xyxz", patterns=[r"(\w\w)\1"]) == ["abab"]


def test_an_expression_that_matches_nothing_finds_nothing() -> None:
    assert found("bbb", patterns=["a*"]) == []


def test_what_overlaps_is_one() -> None:
    assert found("xbluebirdx", words=["blue"], patterns=["uebird"]) == ["bluebird"]


PIECES = ["bluebird", "BLUE", "b\u0131rd", "\u017fky", "\u212a1", "db1.corp.example", "bob@corp.example", "@", "::",
          "fe80::1", "10.1.2.3", "1.2", AWS, SLACK, "secret7", "\n", " ", "x", "é", ":", "NL_", "."]  # fmt: skip
ALL = finders(["bluebird", "bird", "sky", "k1"], [r"^secret\d$"], KINDS, [".corp.example"])


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join), max_size=5))
def test_a_quick_look_hides_nothing(texts: list[str]) -> None:
    patient = [replace(each, may=lambda _: True) for each in ALL]
    asked = worth_asking(ALL, texts)
    assert [found_in(text, asked) for text in texts] == [found_in(text, patient) for text in texts]


def test_a_quick_look_knows_every_letter_that_is_taken_for_one_of_ascii() -> None:
    letters = "".join(map(chr, range(128, sys.maxunicode + 1)))
    taken = set(re.findall("[a-z]", letters, re.IGNORECASE))
    assert taken == {"\u0130", "\u0131", "\u017f", "\u212a"}
    for letter in taken:
        assert found(
            f"{letter}x", words=[next(c for c in "isk" if re.match(c, letter, re.I)) + "x"]
        )


def test_who_has_nothing_to_find_is_not_asked() -> None:
    assert worth_asking(ALL, ["nothing here", "nor there"]) == tuple(
        each for each in ALL if each.kind == "TEXT"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Muller Mu\u0308ller", "M\u00dcLLER", r'{"name": "M\u00fcller"}', "/M%C3%BCller/",
        "STRASSE", r"C:\\corp\\x", "project%20falcon",
    ],
    ids=["decomposed", "upper", "json-in-text", "url", "sharp-s", "backslashes", "space"],
)  # fmt: skip
def test_a_word_in_its_other_spellings(text: str) -> None:
    words = ["M\u00fcller", "stra\u00dfe", r"C:\corp\x", "Project Falcon"]
    assert len(found_in(text, finders(words, (), (), ()))) == 1


@pytest.mark.parametrize(
    "name", ["b\u00fccher.corp.example", "bu\u0308cher.corp.example", "a.M\u00dcLLER.example", "xn--mller-kva.example"]
)  # fmt: skip
def test_names_of_hosts_need_not_be_of_ascii(name: str) -> None:
    by = finders((), (), ("email",), ["corp.example", "m\u00fcller.example"])
    for text in (name, f"neil@{name}"):
        assert [(each.start, each.end) for each in found_in(text, by)] == [(0, len(text))]


@pytest.mark.parametrize(
    "text", ["ab12" * 10_000 + " corp.example", "a." * 20_000 + " corp.example", ":" * 40_000 + "g"],
    ids=["long", "labels", "colons"],
)  # fmt: skip
def test_long_runs_take_no_long_time(text: str) -> None:
    """They took seconds, of everybody's time."""
    by = finders((), (), ("email", "ipv4", "ipv6", "key"), ["corp.example"])
    began = time.process_time()
    found_in(text, by)
    assert time.process_time() - began < 1
