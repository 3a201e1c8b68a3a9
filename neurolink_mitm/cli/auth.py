"""`neurolink auth`: log in to accounts and look after them.

`auth_login` finds out how a credential is to be had (`auth_methods`, through the browser with `auth_browser`) and where
it goes (`auth_labels`); `auth_list` reports (`auth_report`, `auth_render`); `auth_accounts` and `auth_cleanup` change
what is stored, `auth_refresh` renews it; `auth_primary` changes the configuration (`auth_config`).
"""

from __future__ import annotations

from neurolink_mitm.cli import (
    auth_accounts,
    auth_cleanup,
    auth_list,
    auth_login,
    auth_primary,
    auth_refresh,
)
from neurolink_mitm.cli.auth_context import AuthGroup

HELP = """Log in to accounts and look after them.

Example: neurolink auth login anthropic --add --label work
"""

command = AuthGroup("auth", help=HELP)
command.add_command(auth_login.login)
command.add_command(auth_accounts.logout)
command.add_command(auth_accounts.enable)
command.add_command(auth_accounts.disable)
command.add_command(auth_list.list_accounts)
command.add_command(auth_list.status)
command.add_command(auth_refresh.refresh)
command.add_command(auth_cleanup.cleanup)
command.add_command(auth_primary.set_primary)
command.add_command(auth_primary.get_primary)
command.add_command(auth_primary.clear_primary)
