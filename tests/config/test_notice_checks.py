from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.config import file
from neurolink_mitm.config.document import parse
from neurolink_mitm.config.show import effective
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.notify import NOTICE_KINDS

SIGNED = {"webhook": "https://hooks.example/x", "secret": "${S}"}
ENV = {"S": "hunter2hunter2"}


def warnings(**notify: Any) -> list[str]:
    return list(parse({"notify": notify}, ENV).warnings)


def test_the_example_of_the_documentation_as_yaml_1_1_has_it(tmp_path: Path) -> None:
    """`on` is a truth value there, also as a key."""
    text = """
notify:
  desktop: on
  webhook: https://hooks.example/x
  secret: ${S}
  command: [notify-me, -v]
  on: [cap, back]
  quiet: 22:00-07:00
"""
    path = tmp_path / "c.yaml"
    path.write_text(text)
    notify = file.load(path, ENV).config.notify
    assert notify.channels == ("desktop", "webhook", "command")
    assert (notify.on, notify.command) == (("cap", "back"), ("notify-me", "-v"))
    assert notify.secret == Secret(ENV["S"])
    shown = {
        row.path: row for row in effective(file.load(path, ENV).config, file.read_document(path))
    }
    assert shown["notify.secret"].value == shown["notify.webhook"].value == "**********"
    assert shown["notify.on"].origin == "file"


def test_nothing_is_on_by_default() -> None:
    notify = parse({}, {}).config.notify
    assert (notify.channels, notify.on) == ((), NOTICE_KINDS)


def test_all_faults_come_at_once_with_their_places() -> None:
    notify = {
        "desktop": "maybe",
        "webhook": "ftp://hooks.example/x",
        "command": "ls -l",
        "on": ["cap", "bacck"],
        "quiet": "22-07",
        "secrets": "x",
    }
    with pytest.raises(ConfigError) as caught:
        parse({"notify": notify}, {})
    assert caught.value.faults == (
        'notify.desktop: must be true or false, got "maybe"',
        'notify.webhook: must be an http or https URL, got "ftp://hooks.example/x"',
        'notify.command: must be a list, got "ls -l"',
        "notify.on[1]: must be one of needs-login, window-80, all-cooling, back, paid-fallback, cap,"
        ' got "bacck"',
        'notify.quiet: must be two times of the day, such as "22:00-07:00", got "22-07"',
        'notify.secrets: unknown key, did you mean "secret"?',
        "notify.secret: is required where there is a webhook: it signs what is sent",
    )


@pytest.mark.parametrize("command", [["a\0b"], [""], [1], {"a": 1}])
def test_a_command_is_a_list_of_texts(command: object) -> None:
    with pytest.raises(ConfigError, match=r"notify.command"):
        parse({"notify": {"command": command}}, {})


@pytest.mark.parametrize(
    ("notify", "expected"),
    [
        (SIGNED, []),
        (
            {"webhook": "http://hooks.example/x", "secret": "${S}"},
            ["notify.webhook: sends events to another machine unencrypted: better https"],
        ),
        ({"webhook": "http://127.0.0.1:1/x", "secret": "${S}"}, []),
        (
            SIGNED | {"secret": "plain"},
            [
                "notify.secret: holds a key or password in plain text: better ${VAR}, and VAR in .env"
            ],
        ),
    ],
    ids=["signed", "http", "loopback", "plain text"],
)
def test_warnings(notify: dict[str, object], expected: list[str]) -> None:
    assert warnings(**notify) == expected
