from __future__ import annotations

import pytest

from neurolink_mitm.cli.ui.exits import FAILED, NOT_RUNNING, USAGE, fail


def test_codes_are_those_of_the_documentation() -> None:
    assert (FAILED, USAGE, NOT_RUNNING) == (1, 2, 3)


@pytest.mark.parametrize("code", [FAILED, USAGE, NOT_RUNNING])
def test_it_says_why_and_ends(capsys: pytest.CaptureFixture[str], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        fail("that is why", code)
    assert ended.value.code == code
    assert capsys.readouterr() == ("", "neurolink: that is why\n")
