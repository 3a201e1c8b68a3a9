"""What `setup` was asked to set, kept between starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurolink_mitm.claude_code.choices import (
    MODEL_DISCOVERY,
    TOOL_STREAMING,
    Choices,
    read_choices,
    write_choices,
)


@pytest.mark.parametrize(
    ("choices", "variables"),
    [
        (Choices(), set()),
        (Choices(model_discovery=True, editor="/x"), {MODEL_DISCOVERY}),
        (Choices(True, True), {MODEL_DISCOVERY, TOOL_STREAMING}),
    ],
    ids=["none", "one", "both"],
)
def test_they_are_read_as_they_were_written(
    tmp_path: Path, choices: Choices, variables: set[str]
) -> None:
    path = tmp_path / "choices.json"
    assert read_choices(path) == Choices()
    write_choices(path, choices)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_choices(path) == choices
    assert set(choices.variables) == variables


@pytest.mark.parametrize("text", ["", "{", "[]", '{"modelDiscovery": 1}', '{"editor": []}'])
def test_a_broken_file_is_named_and_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "choices.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"choices\.json can't be read"):
        read_choices(path)
    assert path.read_text() == text
