"""`neurolink auth`: log in to accounts and look after them.

`login` gets a credential (`methods`) and stores it; `list` reports (`render`); `accounts` changes what is stored,
`primary` the configuration. `accounts/operations.py` does the work.
"""

from __future__ import annotations

from neurolink_mitm.cli.auth import accounts as auth_accounts
from neurolink_mitm.cli.auth import list as auth_list
from neurolink_mitm.cli.auth import login as auth_login
from neurolink_mitm.cli.auth import primary as auth_primary
from neurolink_mitm.cli.auth.context import AuthGroup

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
command.add_command(auth_accounts.refresh)
command.add_command(auth_accounts.cleanup)
command.add_command(auth_primary.set_primary_account)
command.add_command(auth_primary.get_primary)
command.add_command(auth_primary.clear_primary)
