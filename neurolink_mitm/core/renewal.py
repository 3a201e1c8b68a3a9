"""What the outcome of a refresh means for the pool."""

from __future__ import annotations

from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.oauth import Trouble
from neurolink_mitm.core.pool import Pool
from neurolink_mitm.core.secret import Secret
from neurolink_mitm.core.stored import NEEDS_LOGIN


def take_over(
    pool: Pool,
    account: Account,
    *,
    secret: Secret,
    expires_at: float | None,
    trouble: Trouble | None,
    message: str,
) -> None:
    """A new token is used from now on; a refused refresh token asks for a login.

    Neither is of interest once the pool has another token: of a login that came meanwhile, say.
    """
    if pool.newest(account).secret != account.secret:
        return
    if secret != account.secret:
        pool.renew(account.key, secret, expires_at)
    elif trouble is Trouble.INVALID_GRANT:
        pool.disable(account.key, f"{NEEDS_LOGIN}: {message}")
