"""OpenAI's Responses API: `request` writes a request, `events` makes loose events of Anthropic's form."""
