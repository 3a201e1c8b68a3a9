"""What people do with accounts, by whatever front end: log in, import, enable and disable, pause, order, report.

What changes something takes an `Audit`, and writes the row of the change.

- `operations`: list the accounts of a home, store a login, remove useless entries, refresh.
- `credentials`: what a login or a pasted key becomes before it is stored.
- `stored`: enable, disable, forget. `pauses`: take an account out of the pool for a while, and back.
- `order`: which account goes before which. `resets`: cooldowns that are forgotten.
- `clients`: the keys of those who call the proxy.
- `placement`: where a new login goes among those that are stored.
- `report`: the accounts as plain values, for JSON and tables.
- `login_callback`: catches the code of a login in the browser. `browser_logins`: those whose code is pasted into
  a page.
"""
