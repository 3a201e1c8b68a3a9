"""The configuration file: read, checked, shown, edited with its comments, and loaded again when it changes."""
