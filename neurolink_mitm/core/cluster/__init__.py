"""What replicas that act as one pool decide, without Redis: `breaker`, `offset`, and limits: `rates` and
`slots`, which `account_limits` has for one account.

- `cooldowns`, `quotas`: what two replicas know together of a cooldown, and of an account's quota.
- `merge`: what becomes of a login, a client key, a pause or a mark that two replicas have changed.
- `daybook`: what all have spent today.
- `members`, `digests`, `report`: what they say of themselves, in what they differ, what is shown of it.
- `tallies`: what they have counted of each account.
- `sessions`, `rendezvous`: on which account a session is, by what all replicas write, or by its name alone.

The room of the same name asks Redis and applies what is decided here.
"""
