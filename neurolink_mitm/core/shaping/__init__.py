"""Request shaping: edits of what leaves this machine, and of the response to it.

`pipeline` runs rewriters in order, each a file here, on an `OutgoingRequest`: header fields and body as the client sent
them. A rewriter returns the request as it is, or a changed one. Where the response has to be changed too, it adds a
`ResponseTransform`; these run in reverse order.

- `rewriters`        the small ones: header scrubber, system blocks, certificate pins
- `session_identity` sets `metadata.user_id` to the account in use
- `word_obfuscator`  replaces words by placeholders; `detectors` finds them, `expressions` the user's own patterns,
                     `strings` has the parts of a request that are searched, `restoring` makes placeholders and
                     replaces them in responses
"""
