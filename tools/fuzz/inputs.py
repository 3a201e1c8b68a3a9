"""Strategies for bytes: real examples with parts cut out, repeated or replaced by words that matter."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

MB = 1024 * 1024
REPEATS = (0, 1, 1, 1, 1, 2, 3, 40, 1_000, 15_000)


@st.composite
def mutated(
    draw: st.DrawFn, seeds: Sequence[bytes], words: Sequence[bytes], most: int = MB
) -> bytes:
    """One of the seeds, with up to six places replaced by a word or noise, perhaps many times over."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 6))):
        start = int(draw(st.floats(0, 1)) * len(text))
        end = start + draw(st.sampled_from((0, 0, 1, 2, 7, 60, len(text))))
        patch = draw(st.sampled_from(words) | st.binary(max_size=12))
        text = (text[:start] + patch * draw(st.sampled_from(REPEATS)) + text[end:])[:most]
    return text


@st.composite
def split(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> list[bytes]:
    """The same bytes in up to six chunks, as a network may bring them."""
    text = draw(whole)
    places = sorted(int(draw(st.floats(0, 1)) * len(text)) for _ in range(draw(st.integers(0, 5))))
    ends = [*places, len(text)]
    return [text[a:b] for a, b in zip([0, *places], ends, strict=True) if b > a]


# Requests

BODIES = (
    b'{"model":"claude-sonnet-4-6","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}',
    b'{"model":"claude-opus-4-6","max_tokens":9,"metadata":{"user_id":"user_1_account_2_session_3"},'
    b'"system":[{"type":"text","text":"a ada@example.com 10.0.0.1"}],"thinking":{"type":"enabled","budget_tokens":5},'
    b'"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]},{"role":"assistant","content":'
    b'[{"type":"thinking","thinking":"t","signature":"c2ln"},{"type":"tool_use","id":"toolu_1","name":"n","input":{}}]},'
    b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"ok"}]}],"tools":[]}',
    b'{"model":"claude-sonnet-4-6","messages":[{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"},'
    b'{"type":"tool_use","id":"call.9/foreign id","name":"n","input":{"a":[1,{"b":null}]}}]}]}',
    b'{"api_key":"sk-ant-test-1","password":"p","Authorization":"Bearer eyJhbGciOi.eyJz.c2ln"}',
    b"",
)
OPENAI_BODIES = (
    b'{"model":"claude-sonnet-4-6","stream":true,"max_tokens":9,"stop":["x"],"reasoning_effort":"high","messages":['
    b'{"role":"developer","content":"d"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url",'
    b'"image_url":{"url":"data:image/png;base64,AAAA"}}]},{"role":"assistant","content":null,"tool_calls":[{"id":"c 1",'
    b'"type":"function","function":{"name":"n","arguments":"{\\"a\\":1}"}}]},{"role":"tool","tool_call_id":"c 1","content":"ok"}],'
    b'"tools":[{"type":"function","function":{"name":"n","strict":true,"parameters":{"type":"object","properties":{}}}}],'
    b'"tool_choice":{"type":"function","function":{"name":"n"}},"response_format":{"type":"json_object"}}',
    b'{"model":"claude-opus-4-6","store":false,"stream":true,"instructions":"i","reasoning":{"effort":"low"},"input":['
    b'{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"https://h/x.png"}]},'
    b'{"type":"reasoning","summary":[],"encrypted_content":"x"},{"type":"function_call","call_id":"c1","name":"n",'
    b'"arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":"ok"}],"tools":[{"type":"function",'
    b'"name":"n","parameters":{"type":"object"},"strict":false},{"type":"custom","name":"c"}],"previous_response_id":null}',
    b'{"model":"openai/text-embedding-3-small","input":[[1,2],[3]],"dimensions":8,"encoding_format":"base64"}',
)
OPENAI_WORDS = (
    b'"content":', b'"input":', b'"type":"input_audio"', b'"role":"tool",', b'"n":2,', b'"tool_calls":[]', b'"tools":[],',
    b'"arguments":"', b'"image_url":{"url":"', b'"url":"data:', b'"call_id":', b'"type":"item_reference",', b"true", b"1e5", b"[[", b"{}",
)  # fmt: skip
JSON_WORDS = (
    b'"', b"\\", b'\\"', b"\\u0000", b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\x00", b"\xff",
    b"\xed\xa0\x80", b'"model":', b'"messages":', b'{"type":"thinking","thinking":""},', b'{"a":', b"1e999", b"-",
    b'{"type":"tool_use","id":"a b","name":"n","input":{}},', b'"user_id":"', b"null", b"NaN", b'"api_keys": ["',
    b"-----BEGIN PRIVATE KEY-----", b"-eyJ", b"sk-ant-", b"ghp_", b"Bearer ", b"1:", b"::", b"a@", b"@a.", b"1.", b"AKIA",
    b"-----END", b"https://a:b@", b"access_token=", b"\\/", b"%22", b"x", b"0", b"=", b"\xc3\xa9", b"\xf0\x9f\x98\x80",
)  # fmt: skip

_POST = (
    b"POST /v1/messages?beta=true HTTP/1.1\r\nhost: localhost\r\nuser-agent: claude-cli/2.1.0\r\n"
)
HEADS = (
    b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET /v1/models?limit=1000 HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: http://localhost\r\n\r\n",
    b"GET /v1/files/../x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer mine\r\n\r\n",
    b"GET /api/oauth/profile HTTP/1.1\r\nhost: localhost\r\nx-api-key: mine\r\n\r\n",
    _POST + b"content-length: 103\r\n\r\n" + BODIES[0],
    _POST + b"transfer-encoding: chunked\r\n\r\n67\r\n" + BODIES[0] + b"\r\n0\r\n\r\n",
    _POST + b"expect: 100-continue\r\ncontent-length: 103\r\n\r\n" + BODIES[0],
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer mine\r\ncontent-length: %d\r\n\r\n%b"
    % (len(OPENAI_BODIES[0]), OPENAI_BODIES[0]),
    b"POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nsession_id: s\r\ncontent-length: %d\r\n\r\n%b"
    % (len(OPENAI_BODIES[1]), OPENAI_BODIES[1]),
    b"GET /v1/responses HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    _POST
    + b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ncontent-length: 103\r\n\r\n",
)
HEAD_WORDS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b"\x00", b"\xff", b"/", b"..", b"/../", b"%2e%2e", b"%2f",
    b"%5c", b"\\", b"//", b"?", b"#", b";", b"%", b"http://localhost/v1/", b"POST ", b"GET ", b"HEAD ", b"CONNECT ",
    b"OPTIONS ", b"DELETE ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-x\r\n",
    b"host: localhost\r\n", b"host: evil.example\r\n", b"origin: https://evil.example\r\n", b"content-length: 1\r\n",
    b"content-length: 99999999999\r\n", b"content-length: -1\r\n", b"transfer-encoding: chunked\r\n", b"x: y\r\n",
    b"transfer-encoding: identity\r\n", b"connection: close\r\n", b"connection: upgrade\r\n", b"upgrade: h2c\r\n",
    b"content-encoding: gzip\r\n", b"accept-encoding: br\r\n", b" folded\r\n", b"expect: 100-continue\r\n", b"0\r\n\r\n",
    b"ffffffffffffffff\r\n", b"1;a=b\r\nx\r\n", b"trailer: x\r\n", b"HTTP/1.0", b"HTTP/9.9", b"-eyJ", b"a", b"x-neurolink-",
    b"sec-fetch-site: cross-site\r\n", b"x-claude-code-session-id: ", b"anthropic-beta: ", b"cookie: a=b\r\n", b"/v1/",
    b"/v1/chat/completions", b"/v1/responses", b"/v1/embeddings", b"/chat/completions", b"upgrade: websocket\r\n",
)  # fmt: skip

# Answers


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: " + name + b"\ndata: " + data + b"\n\n"


STREAM = (
    _event(b"message_start", b'{"type":"message_start","message":{"id":"m","model":"x","usage":{"input_tokens":1}}}')
    + _event(b"ping", b'{"type":"ping"}')
    + _event(b"content_block_start", b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}')
    + _event(b"content_block_delta", b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}')
    + _event(b"content_block_stop", b'{"type":"content_block_stop","index":0}')
    + _event(b"message_delta", b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}')
    + _event(b"message_stop", b'{"type":"message_stop"}')
)  # fmt: skip
STREAM_WORDS = (
    b"\n", b"\r", b"\r\n", b"\n\n", b"data:", b"data: ", b"event:", b"event: error\n", b": comment\n", b"id: 1\n", b"retry: 1\n",
    b"\xef\xbb\xbf", b"\x00", b"\xff", b"data: {}\n\n", b"data: [DONE]\n\n", b'"type":"error"', b"x", b"[", b'{"a":',
    b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"m"}}\n\n', b"event", b'"usage":',
)  # fmt: skip
_ERROR = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
_WHOLE = b'{"id":"m","type":"message","content":[{"type":"text","text":"hi"}],"usage":{"input_tokens":1,"output_tokens":2}}'


def _answer(status: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + body


_JSON, _SSE = b"content-type: application/json", b"content-type: text/event-stream"
ANSWERS = (
    _answer(b"200 OK", _SSE, body=STREAM),
    _answer(b"200 OK", _SSE, b"transfer-encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(STREAM), STREAM)),
    _answer(b"200 OK", _JSON, b"content-length: %d" % len(_WHOLE), body=_WHOLE),
    _answer(b"429 Too Many Requests", _JSON, b"retry-after: 1", b"content-length: %d" % len(_ERROR), body=_ERROR),
    _answer(b"401 Unauthorized", _JSON, b"content-length: %d" % len(_ERROR), body=_ERROR),
    _answer(b"100 Continue") + _answer(b"200 OK", _JSON, b"content-length: %d" % len(_WHOLE), body=_WHOLE),
    _answer(b"200 OK", b"content-type: text/html", b"content-length: 15", body=b"<html>hi</html>"),
    _answer(b"200 OK", _JSON, b"content-encoding: gzip", b"content-length: 10", body=b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
    b"",
)  # fmt: skip
ANSWER_WORDS = (
    *STREAM_WORDS, b"HTTP/1.1 ", b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 101 x\r\n\r\n", b"content-length: 3\r\n", b"200", b"429",
    b"529", b"204 ", b"304 ", b"transfer-encoding: chunked\r\n", b"content-encoding: br\r\n", b"content-encoding: zstd\r\n", b"retry-after: -5\r\n",
    b"retry-after: Thu, 01 Jan 1970 00:00:00 GMT\r\n", b"retry-after: 99999999999999999999\r\n", b"connection: close\r\n", b"0\r\n\r\n",
    b"anthropic-ratelimit-unified-5h-utilization: nan\r\n", b"anthropic-ratelimit-unified-5h-reset: 1e400\r\n", b"ffffffff\r\n", b"1;x=y\r\n",
    b"anthropic-ratelimit-unified-7d-status: rejected\r\n", b"0\r\ntrailer: x\r\n\r\n", b"x: y\r\n", b" folded\r\n", b"\r\n\r\n", b":",
)  # fmt: skip

# Files

STATE = (
    b'{"version":"2.0","lastModified":1,"providers":{"anthropic:work":{"tokens":{"accessToken":"sk-ant-oat-test-1",'
    b'"refreshToken":"r","expiresAt":1900000000000,"tokenType":"Bearer","scope":"s"},"account":{"uuid":"u",'
    b'"email":"a@example.com","organizationUuid":"o","organizationName":"n"},"type":"oauth","createdAt":1,'
    b'"lastAccessed":1,"disabled":{"at":1,"reason":"by hand"}}}}',
    b'{"oauth":{"accessToken":"sk-ant-oat-test-1","refreshToken":"r","expiresAt":1900000000000}}',
    b'{"version":1,"accounts":{"anthropic:work":{"credential":"c","scopes":{"*":{"level":3,"began":1,"until":9e9,"reason":"429"}}}}}',
    b'{"version":1,"accounts":{"anthropic:work":{"seen_at":1,"five_hour":{"utilization":0.5,"status":"allowed","reset":9e9}}}}',
    b'{"version":1,"accounts":{"anthropic:work":{"seen_at":1,"windows":{"7d_oi":{"utilization":0.5,"status":"rejected",'
    b'"reset":9e9,"seen_at":1}},"learned":{"7d_oi":{"fable":"refused"}},"fallback":0.5}}}',
    b'{"day":"2026-01-01","spent":{"1":1.5}}',
    b'[{"name":"ada","hash":"00","created":1}]',
    b'{"pid":1,"port":1,"host":"127.0.0.1","strategy":"fill-first","startTime":1}',
    b"version: 1\naccounts:\n  anthropic:\n    - {name: a, apiKey: \"${KEY}\", weight: 2}\nrouting: {strategy: round-robin}\n",
    b"KEY=sk-ant-test-1\nexport B='x'\n# c\nC=\"${KEY}\"\n",
    b'{"env":{"ANTHROPIC_BASE_URL":"http://x"},"model":"m"}',
)  # fmt: skip
STATE_WORDS = (
    *JSON_WORDS, b"1e308", b"-1", b"999999999999999999999", b"9e99", b"0.0000001", b'"expiresAt":', b'"until":', b"true", b"&a ", b"*a", b"- ",
    b"? ", b"!!python/object:os.system", b"${", b"${A:-", b"}", b"key: ", b"|\n", b"\t", b"---\n", b'"reset":', b"Infinity", b"253402300800000",
)  # fmt: skip
ROWS = (
    b'{"timestamp":"2026-01-02T03:04:05.678Z","requestId":"req_nl_1","method":"POST","path":"/v1/messages","model":"m","actualModel":"m","api":"anthropic",'
    b'"provider":"anthropic","stream":true,"toolCount":1,"account":"work","accountType":"oauth","responseStatus":200,"responseTimeMs":5.5,'
    b'"ttfbMs":1.5,"attempts":1,"outcome":"complete","stopReason":"end_turn","inputTokens":1,"outputTokens":2,"costUsd":0.1,"sessionId":"s"}\n',
    b'{"timestamp":"2026-01-02T03:04:05.678Z","requestId":"req_nl_1","attempt":1,"account":"work","accountType":"oauth","provider":"anthropic",'
    b'"responseStatus":429,"errorType":"429","durationMs":5,"cooldownMs":1000,"backoffLevel":0,"retryAfter":1,"upstreamRequestId":null,'
    b'"connectMs":0.5,"tlsMs":1.5,"waitMs":2,"reused":false}\n',
    b'{"timestamp":"2026-01-02T03:04:05.678Z","requestId":"req_nl_1","phase":"client_request","headers":[["a","b"]],"bodyPath":"../../x","bodyBytes":3}\n',
)  # fmt: skip
ROW_WORDS = (
    *STATE_WORDS,
    b"\n",
    b"\r\n",
    b"9999-99-99T99:99:99Z",
    b"\x1b[2J",
    b'"attempts":-1',
    b'"ttfbMs":0',
    b'"waitMs":null',
    b'"timestamp":""',
)
