"""What the homes of replicas have in common: logins, client keys, pauses, marks.

- `sharing`: the feed, with a thread that looks at the home's files.
- `sync`: compares a home with Redis, and with what both last had in common, which is in `synced_file`.
- `entry_kinds`: reads and writes each kind of entries in the home's files.
- `command_sync`: syncs once, for a command, and before a proxy begins to serve.
- `shared_store`: the token store of refreshes: one replica refreshes a login at a time.
- `sealed_entries`: entries as Redis has them.
- `seal`: hides logins from Redis, and signs all else that must not be made by others.
"""
