"""What people do with accounts, by whatever front end: log in, import, enable and disable, pause, order, report.

- `operations`: list the accounts of a home, store a login, remove useless entries, refresh.
- `pauses`: take an account out of the pool for a while, and back.
- `placement`: where a new login goes among those that are stored.
- `report`: the accounts as plain values, for JSON and tables.
- `login_callback`: catches the code of a login in the browser.
"""
