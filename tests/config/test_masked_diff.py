from __future__ import annotations

from neurolink_mitm.config.masked_diff import ChangedLine, changed_lines

BEFORE = """\
version: 1
accounts:
  anthropic:
    - {name: a, apiKey: hunter2, baseUrl: 'http://x', weight: 1}   # token sk-ant-api03-AAAAAAAAAAAAAAAA
    - name: b
notify: {command: [sh,
  hunter3], secret: hunter4}
routing: {hold: 5}
"""


def test_only_changed_lines_come_with_stars_for_what_can_not_be_edited() -> None:
    after = BEFORE.replace("weight: 1", "weight: 2").replace("hold: 5", "hold: 6")
    lines = changed_lines(BEFORE.encode(), after.encode())
    assert [(line.sign, line.number) for line in lines] == [("-", 4), ("+", 4), ("-", 8), ("+", 8)]
    assert lines[1].text.startswith(
        "    - {name: a, apiKey: **********, baseUrl: **********, weight: 2}"
    )
    assert lines[3] == ChangedLine("+", 8, "routing: {hold: 6}")
    assert "sk-ant-api03" not in lines[0].text


def test_a_value_of_several_lines_is_masked_as_a_whole() -> None:
    after = BEFORE.replace("hunter3", "hunter5")
    lines = changed_lines(BEFORE.encode(), after.encode())
    assert [line.text for line in lines] == ["  **********], secret: **********}"] * 2


def test_what_is_no_yaml_is_all_stars() -> None:
    assert changed_lines(b"a: [hunter\r\n", b"")[0].text == "**********"


def test_line_ends_are_no_text() -> None:
    assert changed_lines(
        b"\xef\xbb\xbfversion: 1\r\n", b"version: 1\r\ntimeouts: {idle: 2}\r\n"
    ) == [ChangedLine("+", 2, "timeouts: {idle: 2}")]
