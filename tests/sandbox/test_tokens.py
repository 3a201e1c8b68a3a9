import pytest

from neurolink_mitm.sandbox.accounts import Account
from neurolink_mitm.sandbox.tokens import InvalidGrant, TokenDesk, TokenExpired, s256

LOGIN = Account("o", "first", "oauth", "refresh-first", expires_in=60, lifetime=3600)
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> TokenDesk:
    return TokenDesk([LOGIN, Account("a", "key")], clock)


def test_a_token_has_an_owner(desk: TokenDesk) -> None:
    assert (desk.owner("first"), desk.owner("key"), desk.owner("none")) == (LOGIN, None, None)


def test_a_token_expires(desk: TokenDesk, clock: Clock) -> None:
    clock.now += 60
    with pytest.raises(TokenExpired):
        desk.owner("first")


def test_a_token_without_an_end_never_expires(clock: Clock) -> None:
    forever = Account("o", "t", "oauth")
    desk = TokenDesk([forever], clock)
    clock.now += 1e9
    assert desk.owner("t") == forever


def test_a_refresh_gives_new_tokens(desk: TokenDesk, clock: Clock) -> None:
    grant = desk.refresh("refresh-first")
    assert grant.expires_in == 3600
    assert desk.owner(grant.access_token) == LOGIN
    assert desk.current("o") == (grant.access_token, grant.refresh_token, clock.now + 3600)


def test_the_old_access_token_stays_good_until_its_end(desk: TokenDesk) -> None:
    desk.refresh("refresh-first")
    assert desk.owner("first") == LOGIN


def test_a_refresh_token_is_good_once(desk: TokenDesk) -> None:
    second = desk.refresh("refresh-first").refresh_token
    with pytest.raises(InvalidGrant):
        desk.refresh("refresh-first")
    desk.refresh(second)


def test_access_can_be_ended_at_once(desk: TokenDesk) -> None:
    desk.expire("o")
    with pytest.raises(TokenExpired):
        desk.owner("first")
    desk.refresh("refresh-first")


def test_revoked_only_a_login_helps(desk: TokenDesk) -> None:
    desk.revoke("o")
    with pytest.raises(InvalidGrant):
        desk.refresh("refresh-first")
    code = desk.authorize(LOGIN, CHALLENGE, "client", "uri")
    assert desk.owner(desk.exchange(code, VERIFIER, "client", "uri").access_token) == LOGIN


def test_s256_is_that_of_the_rfc() -> None:
    """https://www.rfc-editor.org/rfc/rfc7636#appendix-B"""
    assert s256(VERIFIER) == CHALLENGE


@pytest.mark.parametrize(
    ("verifier", "client_id", "redirect_uri"),
    [
        pytest.param("x" * 43, "client", "uri", id="verifier"),
        pytest.param(VERIFIER, "other", "uri", id="client"),
        pytest.param(VERIFIER, "client", "other", id="redirect_uri"),
    ],
)
def test_a_code_is_not_for_others(
    desk: TokenDesk, verifier: str, client_id: str, redirect_uri: str
) -> None:
    code = desk.authorize(LOGIN, CHALLENGE, "client", "uri")
    with pytest.raises(InvalidGrant):
        desk.exchange(code, verifier, client_id, redirect_uri)


def test_a_code_is_good_once(desk: TokenDesk) -> None:
    code = desk.authorize(LOGIN, CHALLENGE, "client", "uri")
    desk.exchange(code, VERIFIER, "client", "uri")
    with pytest.raises(InvalidGrant):
        desk.exchange(code, VERIFIER, "client", "uri")


def test_a_code_expires(desk: TokenDesk, clock: Clock) -> None:
    code = desk.authorize(LOGIN, CHALLENGE, "client", "uri")
    clock.now += 601
    with pytest.raises(InvalidGrant):
        desk.exchange(code, VERIFIER, "client", "uri")
