"""OpenAI's Responses API: requests become Messages requests, Messages answers become responses.

A request (`responses_request`) may go on with a response that is stored (`Memory`). An answer (`ResponsesAnswer`)
repeats what the request asked for, and carries Claude's thinking in the `encrypted_content` of reasoning items
(`reasoning`), so that the next turn has it.
https://platform.openai.com/docs/api-reference/responses
"""
