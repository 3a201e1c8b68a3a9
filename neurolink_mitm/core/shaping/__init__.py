"""Request shaping: edits of what leaves this machine, and of the response to it.

`pipeline` runs rewriters in order, each a file here, on an `OutgoingRequest`: header fields and body as the client sent
them. A rewriter returns the request as it is, or a changed one. Where the response has to be changed too, it adds a
`ResponseTransform`; these run in reverse order.

- `tls_pins`         pins the certificates that upstream may show
- `header_scrubber`  removes header fields that tell of the client
- `session_identity` sets `metadata.user_id` to the account in use
- `system_blocks`    adds the user's own system blocks
- `word_obfuscator`  replaces words by placeholders; `detectors` and `spellings` find them, `strings` has the parts of a
                     request that are searched, `placeholders` makes them, `restoring` replaces them in responses
"""
