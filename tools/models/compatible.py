"""OpenAI-compatible chat models. Importing this module takes seconds: see ``providers``."""

import httpx2
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tools.models.providers import ProviderConfig, request_body

_NO_KEY = SecretStr("none")


def build_compatible(config: ProviderConfig, http_client: httpx2.AsyncClient) -> BaseChatModel:
    return ChatOpenAI(
        model=config.model,
        base_url=config.base_url,
        # Hosts without keys exist; an empty one would make the SDK look into the environment.
        api_key=config.api_key if config.api_key.get_secret_value() else _NO_KEY,
        timeout=config.timeout_s,
        max_retries=0,
        temperature=config.temperature if config.send_sampling else None,
        extra_body=request_body(config, max_tokens=config.max_tokens, json_mode=False),
        default_headers=dict(config.headers) or None,
        stream_usage=config.stream_usage,
        # The gateway's own time-outs cover a stalled stream.
        stream_chunk_timeout=None,
        use_responses_api=False,
        http_async_client=http_client,
    )
