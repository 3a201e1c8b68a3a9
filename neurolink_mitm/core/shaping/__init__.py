"""Request shaping: what leaves this machine, and what is put back on the way in.

`pipeline` runs small rewriters in order, each a file here, on a `draft`: header fields and body as the client sent
them. A rewriter returns the draft it was given, or one with other bytes; where the answer has to be changed too, it
leaves an `ResponseTransform` on it, and these are run in reverse.

- `tls_pins`         certificates that the host may show
- `header_scrubber`  header fields that are nobody's business
- `session_identity` `metadata.user_id` names the account in use
- `system_blocks`    the user's own system blocks
- `word_obfuscator`  placeholders in place of words; `detectors` and `spellings` find them, `strings` says where they
                     are looked for, `placeholders` makes them, `restoring` takes them back in answers
"""
