"""What was logged, read again: rows, statistics, replay under another strategy, HAR, and how long logs are kept."""
