"""OpenAI's chat completions. `thinking` is what both directions share."""
