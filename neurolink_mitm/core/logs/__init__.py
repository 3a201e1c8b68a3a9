"""Records of a request: rows of the logs, captured bodies, lines of the console, the summary of a flow."""
