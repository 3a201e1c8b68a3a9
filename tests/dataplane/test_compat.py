from __future__ import annotations

import pytest
from mitmproxy import version

from neurolink_mitm.dataplane.compat import (
    CANCEL,
    UnsupportedMitmproxyError,
    check_version,
    status_of,
)
from tests.dataplane.codes import code


@pytest.mark.parametrize(
    "found",
    ["11.0.2", "11.0.3", "11.1.0", "12.0.0", "12.0.0.dev", "12.2.3", "12", "12.0rc1", "12.99.99",
     version.VERSION],
)  # fmt: skip
def test_it_fits(found: str) -> None:
    check_version(found)


@pytest.mark.parametrize(
    "found",
    ["", "dev", "9.0.1", "10.4.2", "11", "11.0", "11.0.1", "13", "13.0.0", "13.0.0.dev", "100.0"],
)
def test_it_does_not_fit(found: str) -> None:
    with pytest.raises(UnsupportedMitmproxyError, match=rf"^mitmproxy {found} is installed"):
        check_version(found)


def test_the_error_says_what_would_fit() -> None:
    with pytest.raises(UnsupportedMitmproxyError, match=r"pip install 'mitmproxy>=11\.0\.2,<13'"):
        check_version("10.0.0")


@pytest.mark.parametrize(
    ("error", "status"),
    [(CANCEL, None), (code(413), 413), (code(502), 502), (413, 413), (502, 502)],
    ids=["cancel", "too-large", "server-error", "413", "502"],
)
def test_the_status_of_an_error_code(error: object, status: int | None) -> None:
    """In mitmproxy 11.0 a code is a number."""
    assert status_of(error) == status
