"""The APIs that clients speak, by the path of a request; in the logs."""

from __future__ import annotations

import enum
import re
from urllib.parse import unquote


class Api(enum.StrEnum):
    """The API of a request. All paths that are not OpenAI's are Anthropic's."""

    ANTHROPIC = "anthropic"
    CHAT = "openai-chat"
    RESPONSES = "openai-responses"
    EMBEDDINGS = "openai-embeddings"
    OPENAI = "openai"  # a path that only OpenAI has, and that is not served


CHAT_PATH = "/v1/chat/completions"
RESPONSES_PATH = "/v1/responses"
EMBEDDINGS_PATH = "/v1/embeddings"
SERVED = {CHAT_PATH: Api.CHAT, RESPONSES_PATH: Api.RESPONSES, EMBEDDINGS_PATH: Api.EMBEDDINGS}
"""The paths that take a POST."""
TRANSLATED = (Api.CHAT, Api.RESPONSES)
"""The APIs whose requests become Messages requests."""

_OPENAIS = re.compile(
    r"""(?:/+v1)? /+ (?: chat/+completions | responses | embeddings ) /* \Z   # `/v1` is easily forgotten
    | /+v1 /+ (?: assistants | audio | batches | chat | chatkit | completions | containers | content_provenance_checks
      | conversations | edits | embeddings | engines | evals | fine[-_]tun\w+ | images | moderations | organization
      | projects | realtime | responses | threads | uploads | vector_stores | videos ) (?: / | \Z )""",
    re.VERBOSE | re.IGNORECASE,
)
"""OpenAI's paths (openai-python 2.54.0, `openai/resources`) without files, models and skills: Anthropic has them."""


def api_of(method: str, path: str) -> Api:
    """Return the API of a request by its method and path; the query does not count.

    A path that is like OpenAI's is OpenAI's, too, so that its client can read the refusal, and nothing of it goes to
    Anthropic, which has such paths of its own that cost money.
    """
    bare = path.partition("?")[0]
    if method == "POST" and bare in SERVED:
        return SERVED[bare]
    if "%" in bare:
        bare = unquote(bare)
    return Api.OPENAI if _OPENAIS.match(bare) else Api.ANTHROPIC
