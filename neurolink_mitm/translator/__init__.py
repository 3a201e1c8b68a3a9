"""The translator: a small server on loopback that speaks Anthropic's Messages API and asks other providers.

It is a process of its own, since LiteLLM takes seconds to import, 180 MB, and blocks while it does. The proxy starts
it, points flows at it like at any upstream, and restarts it when it ends. It lives as long as its standard input is
open: when the proxy is gone, however that came, so is the translator.

    stdin   a `Setup` as one line of JSON, and another whenever the configuration has changed
    stdout  `{"port": …}` as one line, once it listens; nothing else
    stderr  its log

`engine` is the only module that imports LiteLLM; `calls` sorts parallel tool calls before LiteLLM writes them down.
What is sent and what comes back is put right by the pure `core.provider_request` and `core.provider_stream`.
"""
