"""Reads the logs: rows, statistics, replay under another strategy, HAR, changes (`audit`); and deletes the old ones
(`retention`).
"""
