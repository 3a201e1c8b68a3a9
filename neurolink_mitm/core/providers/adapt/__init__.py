"""Adapts a request to a provider's model: Anthropic's form in and out. It asks `Traits`, never for a name.

`request` does it, in the order in which the parts build on each other:

    check      whether it has the form of the Messages API
    blocks     messages and their blocks, and which of them become text
    documents  documents (PDF, text) and images
    anthropics words for what only Anthropic's API makes
    tools      the list of tools: names, number, schemas (`schemas`, `narrow_schemas`)
    choice     which tool is to be called
    thinking   thinking, effort, and the limit of tokens
    fields     sampling, stop sequences, the form of the answer
    ids        ids of tool calls, and one result for each call

`words` returns the text of a request, to count its tokens; `form` has what all of them share.
"""

from __future__ import annotations

from neurolink_mitm.core.providers.adapt.form import Adapted, UnsupportedError
from neurolink_mitm.core.providers.adapt.request import adapt
from neurolink_mitm.core.providers.adapt.words import words_of

__all__ = ["Adapted", "UnsupportedError", "adapt", "words_of"]
