"""What of an entry a provider refuses. The texts are as the providers are reported to send them."""

from __future__ import annotations

import pytest

from neurolink_mitm.core.providers.unusable import Refusal, refusal_of, remedy
from tests.linear import assert_linear, repeated

MODEL, KEY, MONEY = Refusal.MODEL, Refusal.KEY, Refusal.MONEY
CASES = [
    # the model
    (404, "The model `gpt-9` does not exist or you do not have access to it.", MODEL),
    (403, "Project `p` does not have access to model `gpt-5`", MODEL),
    (400, "Model Not Exist", MODEL),
    (400, "Invalid model: mistral-9", MODEL),
    (400, "invalid params, unknown model 'MiniMax-M9' (2013)", MODEL),
    (404, "models/gemini-9 is not found for API version v1beta, or is not supported for generateContent.", MODEL),
    (400, "The provided model identifier is invalid.", MODEL),
    (400, "Invocation of model ID m with on-demand throughput isn’t supported. Retry your request with", MODEL),
    (400, "The provided model doesn't support on-demand throughput.", MODEL),
    (400, "This action doesn't support the model that you provided.", MODEL),
    (404, "This model version has reached the end of its life.", MODEL),
    (403, "You don't have access to the model with the specified model ID.", MODEL),
    (400, "The model `llama-x` has been decommissioned and is no longer supported.", MODEL),
    (400, "foo/bar is not a valid model ID", MODEL),
    (404, "No endpoints found for foo/bar.", MODEL),
    (404, "Not found the model kimi-9 or Permission denied", MODEL),
    (404, 'model "qwen9" not found, try pulling it first', MODEL),
    (400, 'Invalid model identifier "o4". Please specify a valid downloaded model', MODEL),
    (400, "No models loaded. Please load a model in the developer page or use the 'lms load' command.", MODEL),
    (404, "The API deployment for this resource does not exist.", MODEL),
    (404, "Publisher Model `projects/p/x` was not found or your project does not have access to it.", MODEL),
    (400, "LLM Provider NOT provided. Pass in the LLM provider you are trying to call.", MODEL),
    (404, "Unable to access model foo. Please visit the list of supported models.", MODEL),
    (404, "", MODEL),
    # the key
    (401, "", KEY), (403, "", KEY), (401, "The model `x` is fine", KEY),
    (400, "API key not valid. Please pass a valid API key.", KEY),
    (400, "Incorrect API key provided: na***ys. You can obtain an API key from https://console.x.ai.", KEY),
    (500, "Unable to locate credentials", KEY),
    (500, "Your default credentials were not found.", KEY),
    # the money
    (402, "", MONEY), (402, "Insufficient Balance", MONEY),
    (429, "You exceeded your current quota, please check your plan and billing details.", MONEY),
    (500, "insufficient balance (1008)", MONEY), (429, "insufficient balance (1008)", MONEY),
    (403, "Your team t has either used all available credits or reached its monthly spending limit.", MONEY),
    (400, "Your credit balance is too low to access the Anthropic API.", MONEY),
    (429, "Your account org<ak> is suspended due to insufficient balance, please recharge", MONEY),
    # nothing of the entry
    (429, "You exceeded your current quota, please check your plan. Please retry in 23.5s.", None),
    (429, "Rate limit reached for gpt-5 on tokens per min", None),
    (400, "Unsupported value: 'temperature' does not support 0.2 with this model.", None),
    (400, "This model does not support tools", None),
    (400, "`tool calling` is not supported with this model", None),
    (400, "Invalid schema for function 'x': model is not an object", None),
    (400, "The model returned an invalid model output", None),
    (404, "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.", None),
    (404, "No endpoints found that support image input", None),
    (503, "The model is overloaded", None), (500, "", None), (400, "", None),
    (413, "too large", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "words", "refused"),
    CASES,
    ids=[f"{status} {words[:40]}" for status, words, _ in CASES],
)
def test_what_is_refused(status: int, words: str, refused: Refusal | None) -> None:
    assert refusal_of(status, words, words) is refused
    assert refusal_of(status, words, "") is refused, "where only LiteLLM's text has it"


def test_a_limit_of_geminis_that_is_told_beside_its_words_passes() -> None:
    text = "You exceeded your current quota RESOURCE_EXHAUSTED"
    assert refusal_of(429, text, "You exceeded your current quota") is None


@pytest.mark.parametrize(
    ("refusal", "places", "advice"),
    [
        (MODEL, "", "name another in proxy-config.yaml, or check providers.p.baseUrl"),
        (KEY, "A or B", "check A or B"),
        (KEY, "", "check its key"),
        (MONEY, "A", "top up its account, or ask another"),
    ],
)
def test_the_remedy(refusal: Refusal, places: str, advice: str) -> None:
    assert remedy(refusal, "p", places) == advice


@pytest.mark.parametrize(
    "unit",
    [
        "model ",
        "models/",
        "model `",
        "item ",
        "model: x ",
        "invalid ",
        "has been ",
        "not ",
        "api key ",
    ],
)
def test_it_is_linear(unit: str) -> None:
    assert_linear(lambda text: refusal_of(404, text, text), repeated(unit))
