"""The forms of keys and tokens by issuer: only forms that hardly anything else has.

Sources: the issuers' own pages, and the rules of https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_ALNUM, _URL_SAFE, _HEX = "[A-Za-z0-9]", "[A-Za-z0-9_-]", "[0-9a-f]"
_SLACK = "[A-Za-z0-9-]{10,}"


@dataclass(frozen=True, slots=True)
class Form:
    """A form: one of `starts`, then the expression `rest`. `needle`, if given, is what all `starts` begin with."""

    starts: tuple[str, ...]
    rest: str
    needle: str = ""

    @property
    def expression(self) -> str:
        """Return the regular expression of the form."""
        return f"(?:{'|'.join(map(re.escape, self.starts))}){self.rest}"


FORMS = (
    # models
    Form(("sk-", "pk-", "rk-"), _URL_SAFE + "{16,}"),  # OpenAI and many like it; our own clients'
    Form(("AIza",), _URL_SAFE + "{30,}"),  # Google
    Form(("GOCSPX-",), _URL_SAFE + "{20,}"),
    Form(("ya29.",), _URL_SAFE + "{20,}"),
    Form(("gsk_",), _ALNUM + "{40,}"),  # Groq
    Form(("xai-", "csk-", "pplx-"), _ALNUM + "{32,}"),  # xAI, Cerebras, Perplexity
    Form(("hf_", "r8_"), _ALNUM + "{30,}"),  # Hugging Face, Replicate
    # code, packages, images
    Form(("gho_", "ghp_", "ghr_", "ghs_", "ghu_"), _ALNUM + "{20,}", "gh"),  # GitHub
    Form(("github_pat_",), "[A-Za-z0-9_]{20,}"),
    Form(("glpat-", "gldt-", "glrt-", "glptt-", "glsoat-"), _URL_SAFE + "{20,}", "gl"),  # GitLab
    Form(("npm_",), _ALNUM + "{36,}"),
    Form(("pypi-",), _URL_SAFE + "{50,}"),
    Form(("dckr_pat_", "dckr_oat_"), _URL_SAFE + "{20,}", "dckr_"),  # Docker
    Form(("lin_api_", "ntn_"), _ALNUM + "{40,}"),  # Linear, Notion
    Form(("figd_",), _URL_SAFE + "{40,}"),  # Figma
    # clouds
    Form(("AKIA", "ASIA"), "[A-Z0-9]{16,}"),  # AWS, ids of access keys
    Form(("dop_v1_",), _HEX + "{40,}"),  # DigitalOcean
    Form(("dapi",), _HEX + "{32,}"),  # Databricks
    Form(("hvs.", "hvb.", "hvr."), _URL_SAFE + "{20,}", "hv"),  # Vault
    Form(("sbp_",), _HEX + "{40,}"),  # Supabase
    Form(("glsa_",), "[A-Za-z0-9_]{32,}"),  # Grafana
    Form(("AGE-SECRET-KEY-1",), "[0-9A-Z]{58}"),
    # money, mail, chat
    Form(("sk_", "rk_"), rf"(?:live|test)_{_ALNUM}{{16,}}"),  # Stripe
    Form(("whsec_",), _ALNUM + "{16,}"),
    Form(("shpat_", "shpca_", "shppa_", "shpss_"), "[0-9a-fA-F]{32}", "shp"),  # Shopify
    Form(("SG.",), rf"{_URL_SAFE}{{16,}}\.{_URL_SAFE}{{16,}}"),  # SendGrid
    Form(("xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-"), _SLACK, "xox"),
    Form(("xapp-",), _SLACK),
    Form(("hooks.slack.com/",), "[a-z]+/[A-Za-z0-9/_-]{20,}"),
    Form(
        ("discord.com/api/webhooks/", "discordapp.com/api/webhooks/"),
        rf"[0-9]{{17,20}}/{_URL_SAFE}{{60,}}",
    ),
    Form(("eyJ",), rf"{_URL_SAFE}{{10,}}\.{_URL_SAFE}{{10,}}\.{_URL_SAFE}*"),  # JSON web tokens
)

NEEDLES = tuple(each for form in FORMS for each in ((form.needle,) if form.needle else form.starts))
"""The beginnings of all forms, which are searched first: most texts have few of them."""

_WORD = re.compile(_URL_SAFE + "*")
_JWT = "eyJ"


class Tokens:
    """All forms, grouped by needle; each begins where the expression `start` matches."""

    def __init__(self, start: str, extra: Mapping[str, str]) -> None:
        """`extra` are further expressions by needle."""
        by_needle = {needle: [expression] for needle, expression in extra.items()}
        for form in FORMS:
            for begin in form.starts:
                expression = f"{start}{re.escape(begin)}{form.rest}"
                by_needle.setdefault(form.needle or begin, []).append(expression)
        word = re.compile(start)
        self.forms = [
            NeedleForms(needle, re.compile("|".join(expressions)), word)
            for needle, expressions in by_needle.items()
        ]

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of matches, form by form."""
        for form in self.forms:
            yield from form.find(text)


@dataclass(frozen=True, slots=True)
class NeedleForms:
    """The forms that begin with one needle."""

    needle: str
    pattern: re.Pattern[str]
    start: re.Pattern[str]

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the places of matches in order. Only needles are tried, which takes a tenth of the time."""
        at = text.find(self.needle)
        while at >= 0:
            match = self.pattern.match(text, at)
            if match:
                yield match.span()
            at = text.find(self.needle, match.end() if match else self._after(text, at))

    def _after(self, text: str, at: int) -> int:
        """Return where to search on: behind a word that is no JWT, or its rest would be read again and again."""
        word = _WORD.match(text, at) if self.needle == _JWT and self.start.match(text, at) else None
        return word.end() if word else at + 1
