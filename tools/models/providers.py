"""Providers: where they are, what they take, and their chat models.

Addresses, models and traps: shared/reference/others.md, sections 4.2 to 4.6.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import SecretStr

from domain.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx2
    from langchain_core.language_models.chat_models import BaseChatModel

Kind = Literal["openai", "anthropic"]
JsonMethod = Literal["json_object", "prompt"]
TokenLimitField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True)
class ProviderConfig:
    """One provider with one model. Times in seconds.

    ``send_sampling``: False where the model rejects or fixes ``temperature``.
    ``extra_body``: sent with every request as it is (switches for thinking).
    ``json_method``: ``json_object`` sets ``response_format``; ``prompt`` only asks for JSON.
    ``token_limit_field``: what the provider calls the limit; an unknown name is silently ignored
    by some, and the answer is then as long as the model likes.
    ``daily_token_budget``: tokens in and out a day, Beijing time; None is no limit.
    """

    name: str
    kind: Kind
    base_url: str
    api_key: SecretStr
    model: str
    timeout_s: float = 20.0
    max_attempts: int = 2
    send_sampling: bool = True
    temperature: float = 0.3
    max_tokens: int = 1024
    extra_body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    json_method: JsonMethod = "json_object"
    token_limit_field: TokenLimitField = "max_tokens"  # noqa: S105 - the name of a field
    stream_usage: bool = True
    daily_token_budget: int | None = None


@dataclass(frozen=True, slots=True)
class ModelTrait:
    """What models whose name matches ``pattern`` need; the first match counts."""

    pattern: str
    send_sampling: bool = True
    extra_body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preset:
    """``base_url`` and ``model`` may be empty: then the operator must name them."""

    kind: Kind = "openai"
    base_url: str = ""
    model: str = ""
    traits: tuple[ModelTrait, ...] = ()
    json_method: JsonMethod = "json_object"
    token_limit_field: TokenLimitField = "max_tokens"  # noqa: S105 - the name of a field
    key_required: bool = True

    def trait(self, model: str) -> ModelTrait:
        matching = (trait for trait in self.traits if re.match(trait.pattern, model))
        return next(matching, ModelTrait(""))


_THINKING_OFF: Mapping[str, Any] = MappingProxyType({"thinking": {"type": "disabled"}})

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "openai": Preset(
            base_url="https://api.openai.com/v1",
            model="gpt-5.4-mini",
            token_limit_field="max_completion_tokens",  # noqa: S106
            traits=(
                ModelTrait(r"gpt-5\.\d(?!.*chat)", False, {"reasoning_effort": "none"}),
                ModelTrait(r"gpt-5(-mini|-nano)?(-\d.*)?$", False, {"reasoning_effort": "minimal"}),
                ModelTrait(r"gpt-[5-9]|o\d", False),
            ),
        ),
        # Thinking is on by default, ignores sampling, and wants reasoning_content back, which
        # langchain-openai drops.
        "deepseek": Preset(
            base_url="https://api.deepseek.com",
            model="deepseek-flash",
            traits=(ModelTrait(r"deepseek-", True, _THINKING_OFF),),
        ),
        # Opus 4.7 and later reject temperature; the compatible endpoint is "not for production".
        "claude": Preset(
            kind="anthropic",
            base_url="https://api.anthropic.com",
            model="claude-haiku-5-5",
            json_method="prompt",
            traits=(ModelTrait(r"", False),),
        ),
        # kimi-* fix their sampling; k3 and k2.7 cannot switch thinking off.
        "moonshot": Preset(
            base_url="https://api.moonshot.cn/v1",
            model="kimi-k2.6",
            token_limit_field="max_completion_tokens",  # noqa: S106
            traits=(
                ModelTrait(r"kimi-k2\.[56](?!\d)", False, _THINKING_OFF),
                ModelTrait(r"kimi-k3", False, {"reasoning_effort": "low"}),
                ModelTrait(r"kimi-", False),
            ),
        ),
        # JSON mode is not reliable while thinking.
        "qwen": Preset(
            base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
            model="qwen-plus",
            traits=(
                ModelTrait(r"qwq|.*-thinking"),
                ModelTrait(r"qwen", True, {"enable_thinking": False}),
            ),
        ),
        # Thinking counts against max_tokens and cannot be switched off on all of them.
        "gemini": Preset(
            base_url="https://generativelanguage.googleapis.com/v1beta/openai/",
            model="gemini-3.8-flash",
            traits=(ModelTrait(r"(models/)?gemini-", True, {"reasoning_effort": "low"}),),
        ),
        "ernie": Preset(base_url="https://qianfan.baidubce.com/v2", model="ernie-4.5-turbo-128k"),
        # Any OpenAI-compatible host: TraeCN gateways, vLLM, Ollama, One API.
        "custom": Preset(key_required=False),
    }
)

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "kimi": "moonshot",
        "anthropic": "claude",
        "qianfan": "ernie",
        "dashscope": "qwen",
        "google": "gemini",
        "trae": "custom",
        "traecn": "custom",
    }
)


def provider_config(
    preset: str,
    *,
    api_key: SecretStr | str,
    name: str | None = None,
    base_url: str | None = None,
    model: str | None = None,
    extra_body: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> ProviderConfig:
    """A preset with the operator's key and wishes; ``overrides`` are ProviderConfig's fields.

    Raises ConfigurationError for an unknown preset, and where key, address or model is missing.
    """
    found = PRESETS.get(ALIASES.get(preset, preset))
    if found is None:
        raise ConfigurationError("provider", f"{preset!r} is unknown", " or ".join(sorted(PRESETS)))
    label = name or preset
    key = api_key if isinstance(api_key, SecretStr) else SecretStr(api_key)
    if found.key_required and not key.get_secret_value():
        raise ConfigurationError(f"api_key of {label}", "is empty", "the provider's API key")
    chosen = model or found.model
    if not chosen:
        raise ConfigurationError(f"model of {label}", "is empty", "a model name of that host")
    trait = found.trait(chosen)
    config = ProviderConfig(
        name=label,
        kind=found.kind,
        base_url=_base_url(label, base_url or found.base_url),
        api_key=key,
        model=chosen,
        send_sampling=trait.send_sampling,
        extra_body={**trait.extra_body, **(extra_body or {})},
        json_method=found.json_method,
        token_limit_field=found.token_limit_field,
    )
    return replace(config, **overrides)


def build_chat_model(config: ProviderConfig, http_client: "httpx2.AsyncClient") -> "BaseChatModel":
    """The provider's LangChain model over ``http_client``, without retries of its own.

    The first call for a kind imports its SDK, which takes about two seconds: use a thread.
    """
    if config.kind == "anthropic":
        from tools.models.claude import build_claude

        return build_claude(config, http_client)
    from tools.models.compatible import build_compatible

    return build_compatible(config, http_client)


def request_body(config: ProviderConfig, *, max_tokens: int, json_mode: bool) -> dict[str, Any]:
    """What an OpenAI-compatible request carries beyond model and messages.

    ``response_format`` goes this way, too: as an argument of its own it would switch the SDK to
    its parsing calls, which raise on truncated answers.
    """
    body = {**config.extra_body, config.token_limit_field: max_tokens}
    if json_mode and config.json_method == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body


def call_arguments(config: ProviderConfig, *, max_tokens: int, json_mode: bool) -> dict[str, Any]:
    """Arguments for one ``ainvoke`` or ``astream`` of the model that we built."""
    if config.kind == "anthropic":
        return {"max_tokens": max_tokens}
    return {"extra_body": request_body(config, max_tokens=max_tokens, json_mode=json_mode)}


def _base_url(label: str, url: str) -> str:
    """Documents often print the full path of the call; the SDKs add that part themselves."""
    if not re.match(r"https?://[^/\s]+", url):
        expected = "an address such as https://host/v1"
        raise ConfigurationError(f"base_url of {label}", f"{url!r} is no web address", expected)
    return re.sub(r"(/chat/completions|/v1/messages)?/*$", "", url.strip())
