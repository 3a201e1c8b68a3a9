"""Credentials: keys that callers show, OAuth's rules, and the stored accounts as values."""
