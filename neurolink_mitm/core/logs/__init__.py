"""What is written about a request: rows of the logs, captured bodies, lines of the console, a flow's summary."""
