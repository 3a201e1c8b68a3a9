"""OpenAI's chat form, in which LiteLLM is asked for all providers but those of OpenAI's Responses API.

request   `request` and `messages` write a request; `thoughts` hands back a model's own thinking; `refused` tells what a
          refused request can do without
response  `wire` reads bytes, `events` makes loose events of Anthropic's form, with `calls`, `think` and `ends`
"""
