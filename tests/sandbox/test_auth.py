import pytest
from starlette.datastructures import Headers

from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.auth import authenticate
from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.state import Sandbox

KEY = Account("a", "key")
LOGIN = Account("o", "token", "oauth")
OLD = Account("old", "old-token", "oauth", expires_in=0)
SANDBOX = Sandbox([KEY, LOGIN, OLD])
BETA = {"anthropic-beta": "other-beta,oauth-2025-04-20"}


@pytest.mark.parametrize(
    ("headers", "account"),
    [
        pytest.param({"x-api-key": "key"}, KEY, id="API key"),
        pytest.param({"authorization": "Bearer token", **BETA}, LOGIN, id="token"),
        pytest.param({"authorization": "bearer  token", **BETA}, LOGIN, id="sloppy"),
        pytest.param({"authorization": "Bearer key"}, KEY, id="API key as a bearer"),
        pytest.param({"x-api-key": "key", "authorization": "Bearer no"}, KEY, id="key counts"),
    ],
)
def test_whose_credentials(headers: dict[str, str], account: Account) -> None:
    assert authenticate(Headers(headers), SANDBOX) == account


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        pytest.param({}, "x-api-key header is required", id="none"),
        pytest.param({"authorization": "Basic token"}, "x-api-key header is required", id="basic"),
        pytest.param({"x-api-key": "no"}, "invalid x-api-key", id="unknown key"),
        pytest.param({"x-api-key": "token"}, "invalid x-api-key", id="token as a key"),
        pytest.param({"authorization": "Bearer no", **BETA}, "Invalid bearer", id="unknown token"),
        pytest.param({"authorization": "Bearer token"}, "currently not supported", id="no beta"),
        pytest.param({"authorization": "Bearer old-token", **BETA}, "has expired", id="expired"),
        pytest.param(
            {"x-api-key": "stray", "authorization": "Bearer token", **BETA},
            "invalid x-api-key",
            id="a stray key beside a token",
        ),
    ],
)
def test_all_others_are_refused(headers: dict[str, str], message: str) -> None:
    with pytest.raises(ApiError, match=message) as refused:
        authenticate(Headers(headers), SANDBOX)
    assert refused.value.status == 401
