"""OpenAI's API for other tools: their requests become Messages requests, and the answers go back in OpenAI's forms.

`core/providers` is the other way: Messages requests to other providers' servers.

    client's chat or responses request ──▶ `Translated`: a Messages request
    Messages answer ──▶ `AnswerFormat`: whole, or event by event (`StreamWriter`) ──▶ client

A request is translated once, before it is routed. What refuses it is a `RequestError`, which names the field.

What chat and responses requests have in common is collected in a `Draft` and written by it: `Turns` (messages, calls,
results), `Tools`, `Options`. What Claude's models take of it is in `claude`.

Which requests these are tells `api`, what becomes of their fields `header_fields`, why others are refused `unserved`.
`editors` put a response through its `AnswerFormat` as it arrives; where upstream streams against the request, or does
not, `message_events` makes one form of the other. All errors are put into OpenAI's form by `errors`.
"""
