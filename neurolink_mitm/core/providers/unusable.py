"""Recognizes that a provider refuses an entry itself, in its own words: the model, the key, or the account's money.

Providers don't agree on statuses: an unknown model is a 404 at OpenAI, a 400 at Mistral, a 403 at Bedrock; a wrong key
is a 400 at Google AI and xAI; no money is a 429 at OpenAI. The texts are from the providers' pages of errors and from
reports in LiteLLM's issues.
"""

from __future__ import annotations

import enum
import re


class Refusal(enum.Enum):
    """What of the entry a provider refuses."""

    MODEL = "does not know this model"
    KEY = "refused the key"
    MONEY = "wants to be paid first"


_MODEL = re.compile(
    r"""
    \bmodel[ _]?not[ _](?:found|exist|supported|available)     # OpenAI's code; DeepSeek: Model Not Exist
    | (?:unknown|invalid|unsupported|unavailable|unable\ to\ access|no\ such|not\ found\ the|not\ a\ valid)
      [ _]model(?!\ (?:output|response|input|param))\b         # MiniMax, Mistral, Azure, Together, Kimi, OpenRouter
    | model\ identifier\ is\ invalid | on-demand\ throughput | end\ of\ its\ life | support\ the\ model\ that  # Bedrock
    | \bmodels?[ /:]{1,3}[`'"]?[^\s`'"]{1,200}[`'"]?,?\ (?:(?:is|was)\ )?   # OpenAI, Gemini, xAI, vLLM, Groq
      (?:does\ not\ exist|not\ found|not\ available|not\ supported|(?:has\ been\ )?(?:decommissioned|retired|removed))
    | deployment\ ?not\ ?found | deployment\ for\ this\ resource\ does\ not\ exist      # Azure
    | no\ (?:allowed\ )?(?:endpoints|providers)\ (?:found|are\ available)               # OpenRouter
    | try\ pulling\ it | no\ models?\ loaded                   # Ollama, LM Studio
    | publisher\ model | have\ access\ to\ (?:the\ )?model     # Vertex AI; OpenAI, Bedrock
    | LLM\ provider\ not\ provided | unmapped\ LLM\ provider   # LiteLLM
    """,
    re.I | re.X,
)
_KEY = re.compile(
    r"""
    api[ _-]?key\ (?:not\ valid|is\ (?:invalid|not\ valid)|has\ expired|expired)  # Google AI
    | (?:invalid|incorrect|wrong|missing)\ api[ _-]?key | API_KEY_INVALID         # xAI, OpenAI
    | (?:invalid|no)\ authentication | authentication\ fails                      # Kimi, DeepSeek
    | unable\ to\ locate\ credentials | security\ token\ included | token\ (?:has|is)\ expired     # Bedrock
    | default\ credentials\ were\ not\ found | could\ not\ resolve\ (?:credentials|project)        # Vertex AI
    """,
    re.I | re.X,
)
_MONEY = re.compile(
    r"""
    insufficient[ _](?:quota|balance|credits?|funds) | credit\ balance\ is\ too\ low
    | exceeded[ _](?:your\ )?current[ _]quota | used\ all\ available\ credits | (?:spending|billing(?:\ hard)?)\ limit
    | out\ of\ credits | account\ is\ in\ good\ standing
    """,
    re.I | re.X,
)
_PASSES = re.compile(r"retry in|RESOURCE_EXHAUSTED|per[ _]?(?:minute|day)", re.I)
"""In Gemini's rate limits, whose first sentence is OpenAI's for an empty account."""
_IN_THE_REQUEST = re.compile(
    r"\b(?:item|response|file|container|image|url|cached ?content)s?\b.{0,120}not (?:be )?found"
    r"|support (?:image|file|audio)",
    re.I | re.S,
)
"""What a 404 misses that the request named, such as an item of OpenAI's Responses API."""
_MISSING = frozenset({400, 403, 404, 422, 500, 501, 502})
_LOGIN = frozenset({400, 500, 502})
_UNPAID = frozenset({400, 403, 429, 500, 502})
"""MiniMax says so with a 500: https://github.com/MiniMax-AI/MiniMax-M2/issues/62"""


def refusal_of(status: int, text: str, words: str) -> Refusal | None:
    """Return what of the entry is refused; None for any other error.

    `words` are the provider's own, as far as they were found in `text`, which else is searched.
    """
    said = words or text[:2000]
    if status == 402 or (status in _UNPAID and _MONEY.search(said) and not _PASSES.search(text)):
        return Refusal.MONEY
    if status in _LOGIN and _KEY.search(said):
        return Refusal.KEY
    if status in _MISSING and (status == 404 or _MODEL.search(said)):
        return None if _IN_THE_REQUEST.search(said) else Refusal.MODEL
    return Refusal.KEY if status in (401, 403) else None


def remedy(refusal: Refusal, provider: str, places: str) -> str:
    """Return what the user can do; `places` are those of the provider's credential."""
    if refusal is Refusal.MODEL:
        return f"name another in proxy-config.yaml, or check providers.{provider}.baseUrl"
    if refusal is Refusal.MONEY:
        return "top up its account, or ask another"
    return f"check {places}" if places else "check its key"
