"""The proxies of this machine's settings, where the environment names none."""

from __future__ import annotations

import pytest

from neurolink_mitm.adapters.network import SETTINGS, proxies_of


@pytest.mark.parametrize(
    ("platform", "environ", "named"),
    [
        ("darwin", {}, {"https": (SETTINGS, "http://s:1")}),
        ("darwin", {"HTTPS_PROXY": "p:1"}, {"https": ("HTTPS_PROXY", "p:1")}),
        ("linux", {}, {}),
    ],
    ids=["macos", "macos-variable", "linux"],
)
def test_settings_count_where_no_variable_does(
    platform: str,
    environ: dict[str, str],
    named: dict[str, tuple[str, str]],
) -> None:
    settings = {"https": "http://s:1", "ftp": "x"}
    assert proxies_of(environ, platform, lambda: settings).named == named
