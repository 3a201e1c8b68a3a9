"""Which providers there are: LiteLLM, which knows, takes seconds to import."""

from __future__ import annotations

from difflib import get_close_matches

from neurolink_mitm.core.providers import PROVIDERS

LITELLM = frozenset(
    """
a2a a2a_agent ai21 ai21_chat aiml aiohttp_openai amazon_nova anthropic anthropic_text apertis
assemblyai auto_router aws_polly azure azure_ai azure_text baseten bedrock bedrock_mantle
black_forest_labs bytez cerebras charity_engine chatgpt chutes clarifai cloudflare codestral
cognition cohere cohere_chat cometapi compactifai cursor custom custom_openai darkbloom
dashscope databricks datarobot deepgram deepinfra deepseek docker_model_runner dotprompt
elevenlabs empower fal_ai featherless_ai fireworks_ai friendliai galadriel gdc gemini gigachat
github github_copilot gradient_ai groq helicone heroku hosted_vllm huggingface humanloop
hyperbolic inception infinity jina_ai lambda_ai langflow langfuse langgraph lemonade libertai
litellm_agent litellm_proxy llamafile lm_studio manus maritalk meta meta_llama milvus minimax
mistral modelscope mongodb moonshot morph nano-gpt nebius neosantara nlp_cloud novita nscale
nvidia_nim nvidia_riva oci ollama ollama_chat oobabooga openai openai_like openrouter ovhcloud
parasail perplexity petals pg_vector pinstripes poe predibase publicai qwen_ai_platform
qwencloud ragflow recraft reducto replicate runwayml s3_vectors sagemaker sagemaker_chat
sagemaker_nova sambanova sap scaleway scx-ai snowflake soniox stability synthetic tencent
tensormesh text-completion-codestral text-completion-inception text-completion-openai
together_ai topaz triton v0 valkey vercel_ai_gateway vertex_ai vertex_ai_beta vllm volcengine
voyage wandb watsonx watsonx_text xai xiaomi_mimo xinference zai
    """.split()  # noqa: SIM905 - 155 lines otherwise
)
"""Its own names; a test compares them with the LiteLLM that is installed."""


def is_provider(name: str) -> bool:
    return name in PROVIDERS or name in LITELLM or name.replace("-", "_") in LITELLM


def unknown(name: str) -> str | None:
    """What to say of a name that is no provider's; None for one that is."""
    if is_provider(name):
        return None
    plain = name.strip().lower().replace("_", "-")
    known = [*PROVIDERS, *sorted(each.replace("_", "-") for each in LITELLM)]
    near = get_close_matches(plain, known, n=1)
    hint = (
        f'did you mean "{near[0]}"?' if near else f"known are {', '.join(PROVIDERS)}, and LiteLLM's"
    )
    return f'no provider is called "{name:.40}", {hint}'
