from __future__ import annotations

import pytest

from neurolink_mitm.core.shaping.detectors import KINDS, finders, found_in

AWS, SLACK = "AKIAIOSFODNN7EXAMPLE", "xoxb-1234567890-abc"
GITHUB = "ghp_" + "a1B2" * 9
CASES = [
    ("email", "mail bob.x+y@corp.example.", ["bob.x+y@corp.example"]),
    ("email", "@decorator, a@b and user@", []),
    ("ipv4", "at 10.1.2.3:80, 192.168.0.255.", ["10.1.2.3", "192.168.0.255"]),
    ("ipv4", "v1.2.3 256.1.1.1 1.2.3.4.5 x10.1.2.3 10.1.2.3x", []),
    ("ipv6", "[fe80::1]:80 and 2001:db8:0:0:0:0:2:1.", ["fe80::1", "2001:db8:0:0:0:0:2:1"]),
    ("ipv6", "std::vector 12:34:56 a::b::c :: aa:bb:cc:dd:ee:ff", []),
    ("key", f"{AWS} {GITHUB} {SLACK}", [AWS, GITHUB, SLACK]),
    ("key", "sk-learn task-force AKIA", []),
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
