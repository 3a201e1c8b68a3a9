"""Reads the logs: rows, statistics, replay under another strategy, HAR; and deletes the old ones (`retention`)."""
