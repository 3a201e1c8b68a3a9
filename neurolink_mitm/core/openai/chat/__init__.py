"""OpenAI's chat completions.

`answer` has the form of a request's answer: whole, or written by `stream` as it comes. Both read Anthropic's content
blocks by `blocks`, end as `ending` says, and share `thinking` with the requests; tool calls are written by `calls`.
"""
