"""OpenAI's chat completions.

`request` makes a Messages request of one (`wire`: its form; `history`: messages; `tools`). `answer` has the form of its
answer: whole, or written by `stream` as it comes. Both read Anthropic's content blocks by `blocks`, end as `ending`
says, and share `thinking` with the requests; tool calls are written by `calls`. `anthropic_blocks` reads Anthropic's
own blocks, which Cursor sends.
"""
