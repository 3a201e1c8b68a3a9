"""The translator: a small server on loopback that speaks Anthropic's Messages API and asks other providers.

It is a process of its own, since importing LiteLLM takes seconds and 180 MB, and blocks. The proxy starts it, points
flows at it like at any upstream, and restarts it when it ends. It ends with its standard input: when the proxy is
gone, for whatever reason, so is the translator.

    stdin   a `Setup` as one line of JSON, and another whenever the configuration has changed
    stdout  `{"port": …}` as one line, once it listens; nothing else
    stderr  its log

`app` serves HTTP. `engine` asks providers, in one of two `ways`, and is the only module that imports LiteLLM; `asking`
asks again without what was refused, `chunks` reads what LiteLLM streams, `embeddings` asks for vectors, `certificates`
fits TLS to the proxy's, `tokenizer` makes LiteLLM smaller. `pdf` has PDFs read, each by a process `pdf_reader`, for
models that take none. What is sent and what comes back is translated by `core/providers/`, which is pure.
"""
