"""The contract: what Anthropic asks of an LLM gateway for Claude Code, row by row, and how each row is held.

`ROWS` is the table of docs/gateway.md (a test compares both) and of `neurolink proxy doctor --contract`. Requirements
are in our words; the pages were read in the version that their copies of November 2026 have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from neurolink_mitm.doctor import contract_probes as probes
from neurolink_mitm.doctor.contract_gateway import Gateway
from neurolink_mitm.doctor.contract_probes import Outcome, Probe, counting

SOURCES = {
    "protocol": "https://code.claude.com/docs/en/llm-gateway-protocol",
    "rollout": "https://code.claude.com/docs/en/llm-gateway-rollout",
    "connect": "https://code.claude.com/docs/en/llm-gateway-connect",
    "errors": "https://code.claude.com/docs/en/errors",
}
"""Pages of Claude Code's documentation by the names that rows use."""


@dataclass(frozen=True, slots=True)
class Row:
    """A requirement. `source` is `PAGE#section` or `measured`; `test` is the node id of a test.

    Without `probe` the row can't be judged from outside; `why` says why not, or why it does not apply.
    """

    id: str
    requirement: str
    source: str
    here: str
    test: str = ""
    probe: Probe | None = None
    why: str = ""


FLOWS = "tests/flows"
ROWS = (
    Row(
        "messages-path",
        "Serve the Messages API at `/v1/messages`, whatever the query (`?beta=true`)",
        "protocol#api-formats",
        "The path is served with and without a query",
        f"{FLOWS}/test_requests.py::test_defaults_are_added",
        probes.messages_path,
    ),
    Row(
        "count-tokens",
        "Serve `/v1/messages/count_tokens` (optional), so that counting costs no inference",
        "protocol#optional-endpoints-and-startup-traffic",
        "Passes to an account; its limits are kept apart from those of messages",
        f"{FLOWS}/test_requests.py::test_count_tokens",
        probes.count_tokens,
    ),
    Row(
        "anthropic-version",
        "Forward `anthropic-version` unchanged",
        "protocol#request-headers",
        "Forwarded; `2023-06-01` is added where it is absent",
        f"{FLOWS}/test_contract.py::test_the_proxy_holds_every_row",
        counting(probes.anthropic_version),
    ),
    Row(
        "anthropic-beta",
        "Forward `anthropic-beta` verbatim, without a list of known values",
        "protocol#request-headers",
        "Forwarded; a login's own `oauth-2025-04-20` is appended where the account needs it",
        f"{FLOWS}/test_requests.py::test_second_attempt_carries_nothing_of_the_first",
        counting(probes.anthropic_beta),
    ),
    Row(
        "open-lists",
        "Pass unknown `anthropic-*` headers and body fields; `x-claude-code-*` may be consumed",
        "protocol#forward-as-open-lists",
        "All pass; session and agent ids are also read for affinity, rows and statistics",
        "tests/addons/test_trace.py::test_claude_codes_session_and_agent_are_kept",
        counting(probes.open_lists),
    ),
    Row(
        "body-unchanged",
        "Send fields and their betas on together: thinking, effort, context management, tool fields",
        "protocol#feature-pass-through",
        "The body goes out byte for byte, unless [shaping](shaping.md) or a mapping has something to change",
        f"{FLOWS}/test_requests.py::test_body_is_untouched",
        counting(probes.body_unchanged),
    ),
    Row(
        "attribution-block",
        "Leave the `system` array as it is, with the attribution block first and alone",
        "protocol#system-prompt-attribution-block",
        "Left as it is; blocks of shaping are put at the end",
        f"{FLOWS}/test_shaping.py::test_with_nothing_to_change_the_body_goes_out_as_it_came",
        counting(probes.attribution_block),
    ),
    Row(
        "errors-unmodified",
        "Return upstream's error bodies unmodified: Claude Code recovers by their wording",
        "protocol#automatic-retry-and-error-forwarding",
        "What the client can mend is returned byte for byte; what another account can mend goes there first",
        f"{FLOWS}/test_failover.py::test_own_fault_is_returned_as_is",
        counting(probes.errors_unmodified),
    ),
    Row(
        "unknown-model",
        "Route Claude's model names; answer 404 for a name that is not routed",
        "rollout#confirm-the-gateway-routes-your-models",
        "404 `not_found_error`, with the names that can be asked for",
        "tests/addons/test_route.py::test_a_model_nobody_here_has_is_refused_with_those_there_are",
        probes.unknown_model,
    ),
    Row(
        "body-inspection",
        "Inspect no bodies: prompts are full of code and markup that look like attacks",
        "rollout#gateway-requirements",
        "No body is inspected; only a `Host` or `Origin` of another site is refused",
        f"{FLOWS}/test_contract.py::test_the_proxy_holds_every_row",
        counting(probes.body_inspection),
    ),
    Row(
        "streaming",
        "Pass server-sent events on as they arrive",
        "protocol#streaming",
        "The first event with content is passed on at once, and each one after it",
        f"{FLOWS}/test_failover.py::test_first_content_is_passed_on_at_once",
        probes.streaming,
    ),
    Row(
        "pings",
        "Forward upstream's pings: a stream that is silent for 300 s is dropped",
        "protocol#streaming",
        "Every byte of the stream is forwarded",
        f"{FLOWS}/test_failover.py::test_bytes_are_upstreams",
        probes.pings,
    ),
    Row(
        "pings-of-translated",
        "Send pings of one's own where upstream sends none",
        "protocol#streaming",
        "The translator sends a comment after 15 s of silence of another provider",
        "tests/translator/test_app.py::test_silence_is_filled_with_comments",
        why="needs another provider that is silent for 15 s",
    ),
    Row(
        "credentials",
        "Take the gateway's credential from `Authorization: Bearer` and from `x-api-key`; refuse others with 401",
        "connect#how-the-credential-variable-maps-to-a-header",
        "Either header; anything will do where no client key is demanded. A 401 says `x-should-retry: false`",
        "tests/addons/test_gate.py::test_a_key_opens",
        probes.credentials,
    ),
    Row(
        "model-discovery",
        "Answer `GET /v1/models?limit=1000` (optional) within 3 s; ids begin with `claude` or `anthropic`",
        "protocol#model-discovery",
        "Answered here, with a `display_name` for each; of other providers' names Claude Code shows none",
        "tests/addons/test_local_api.py::test_models",
        probes.model_discovery,
    ),
    Row(
        "no-redirects",
        "Serve the configured address itself, without redirects",
        "rollout#confirm-the-gateway-routes-your-models",
        "No path of the API is redirected",
        f"{FLOWS}/test_contract.py::test_the_proxy_holds_every_row",
        probes.no_redirects,
    ),
    Row(
        "startup-probes",
        "Answer the probe that warms a connection up anyhow: `HEAD /api/hello`, or `HEAD /` of earlier versions",
        "protocol#optional-endpoints-and-startup-traffic",
        "`HEAD /` is answered here, `/api/hello` as upstream answers it, or by a 404",
        f"{FLOWS}/test_requests.py::test_probe_of_the_root",
        probes.startup_probes,
    ),
    Row(
        "retry-after",
        "Say in `Retry-After` when to come again; Claude Code 2.1.197 waits for up to 60 s",
        "measured",
        "The seconds to the first recovery, or the answer itself with [routing.hold](hold.md)",
        f"{FLOWS}/test_failover.py::test_all_cooling",
        why="needs a pool of which every account is limited",
    ),
    Row(
        "bedrock-format",
        "Bedrock's and Vertex's formats, in place of the Messages API",
        "protocol#api-formats",
        "Does not apply: one format is enough, and this is the Messages API",
        why="does not apply: one format is enough",
    ),
    Row(
        "workspace-id",
        "Forward `anthropic-workspace-id` to Claude Platform on AWS",
        "protocol#foundry-and-claude-platform-on-aws",
        "Does not apply to Anthropic's API; the header passes like all `anthropic-*`",
        why="does not apply to Anthropic's API",
    ),
    Row(
        "protocol-page",
        "`GET /protocol`, sign-in and managed settings of Claude apps gateway",
        "protocol#gateway-protocol-reference",
        "Does not apply: that is a product of its own, and a client has to be signed in to it",
        why="does not apply: that is Claude apps gateway",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    row: Row
    outcome: Outcome

    @property
    def report(self) -> dict[str, Any]:
        return {
            "id": self.row.id,
            "state": self.outcome.state,
            "expected": self.row.requirement,
            "came": self.outcome.came or None,
            "source": source_url(self.row),
        }


def run(gateway: Gateway) -> Iterator[Result]:
    """Judge `gateway` by every row."""
    for row in ROWS:
        try:
            outcome = row.probe(gateway) if row.probe else probes.not_run(row.why)
        except (TypeError, ValueError, LookupError) as e:  # of a response that nobody foresaw
            outcome = probes.failed(f"the response can't be read: {e}")
        yield Result(row, outcome)


def source_url(row: Row) -> str | None:
    page, _, section = row.source.partition("#")
    return f"{SOURCES[page]}#{section}" if page in SOURCES else None
