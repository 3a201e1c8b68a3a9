"""Providers beside Anthropic: names, models, routes to them, and their requests, responses and errors.

request   `adapt` fits it to the model's `traits`; `chat` and `responses` write it in OpenAI's forms
response  `chat` and `responses` make loose events of Anthropic's form, `collected` a loose message of those;
          `stream` puts both in order for the client
"""
