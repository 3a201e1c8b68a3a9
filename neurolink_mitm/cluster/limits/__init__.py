"""Limits that replicas keep together, of accounts and of clients.

- `feeds`: all of them; requests a minute, and at once.
- `spending`: money, against the caps of a day.
"""
