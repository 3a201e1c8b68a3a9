"""Where editors' settings are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurolink_mitm.claude_code.editors import settings_files

MAC = "Library/Application Support"


@pytest.mark.parametrize(
    ("platform", "folders", "expected"),
    [
        ("linux", [".config/Cursor/User", ".config/Code/User"], [".config/Code/User", ".config/Cursor/User"]),
        ("linux", [".vscode-server/data/Machine"], [".vscode-server/data/Machine"]),
        ("darwin", [f"{MAC}/VSCodium/User", ".config/Code/User"], [f"{MAC}/VSCodium/User"]),
        ("linux", [], []),
    ],
    ids=["two", "WSL", "macOS", "none"],
)  # fmt: skip
def test_the_likeliest_comes_first(
    tmp_path: Path, platform: str, folders: list[str], expected: list[str]
) -> None:
    for each in folders:
        (tmp_path / each).mkdir(parents=True)
    paths = [tmp_path / each / "settings.json" for each in expected]
    assert list(settings_files({"HOME": str(tmp_path)}, platform)) == paths


def test_the_environment_may_name_the_folder_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "Code" / "User").mkdir(parents=True)
    environ = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path)}
    assert list(settings_files(environ, "linux")) == [tmp_path / "Code" / "User" / "settings.json"]
    assert settings_files({}, "linux") == ()
