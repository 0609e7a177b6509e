"""Model providers, and small talk."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    SecretStr,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode

from engine.settings.fields import (
    PROVIDERS,
    ExistingFile,
    HttpUrl,
    PositiveSeconds,
    provider,
    provider_order,
    setting,
)


def _key(name: str, *others: str) -> Any:
    own = f"{name}_API_KEY"
    meaning = f"Key of the provider {name.lower()}; not set: the provider is not used."
    return setting(" ".join((own, own, *others)), None, meaning)


def _base(name: str) -> Any:
    meaning = f"API address of {name.lower()}; default: the provider's own."
    return setting(f"{name}_BASE_URL", "", meaning)


def _model(name: str) -> Any:
    return setting(f"{name}_MODEL", "", f"Model of {name.lower()}; default: the product's choice.")


class ModelSettings(BaseSettings):
    """Models"""

    model_providers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(provider_order)] = (
        setting(
            "MODEL_PROVIDERS",
            PROVIDERS,
            "Providers in the order in which they are tried; those without key are left out.",
        )
    )
    model_timeout_s: PositiveSeconds = setting(
        "MODEL_TIMEOUT_S", 12, "Seconds for one call of a model."
    )
    model_deadline_s: PositiveSeconds = setting(
        "MODEL_DEADLINE_S",
        15,
        "Seconds for all calls of one answer together; then the knowledge base answers alone.",
    )
    model_attempts: int = setting(
        "MODEL_ATTEMPTS", 2, "Calls of one provider before the next one is tried.", ge=1, le=10
    )
    model_daily_tokens: int = setting(
        "MODEL_DAILY_TOKENS",
        1_000_000,
        "Tokens a day, after which answers come without a model; 0: no limit.",
        ge=0,
    )
    model_price_file: ExistingFile = setting(
        "MODEL_PRICE_FILE",
        None,
        "Prices of models (YAML); default: the list that comes with the product.",
    )
    llm_provider: Annotated[str, AfterValidator(provider)] = setting(
        "LLM_PROVIDER",
        "",
        "Provider that the LLM_ variables describe (kimi, deepseek, …, custom); default: told "
        "from LLM_API_BASE. It is tried first unless KEFU_MODEL_PROVIDERS lists it elsewhere.",
    )
    llm_api_key: SecretStr | None = setting("LLM_API_KEY", None, "Key of that provider.")
    llm_api_base: HttpUrl = setting("LLM_API_BASE", "", "API address of that provider.")
    llm_model: str = setting("LLM_MODEL", "", "Model of that provider.")
    deepseek_api_key: SecretStr | None = _key("DEEPSEEK")
    deepseek_base_url: HttpUrl = _base("DEEPSEEK")
    deepseek_model: str = _model("DEEPSEEK")
    openai_api_key: SecretStr | None = _key("OPENAI")
    openai_base_url: HttpUrl = _base("OPENAI")
    openai_model: str = _model("OPENAI")
    claude_api_key: SecretStr | None = _key("CLAUDE", "ANTHROPIC_API_KEY")
    claude_base_url: HttpUrl = _base("CLAUDE")
    claude_model: str = _model("CLAUDE")
    moonshot_api_key: SecretStr | None = _key("MOONSHOT", "KIMI_API_KEY")
    moonshot_base_url: HttpUrl = _base("MOONSHOT")
    moonshot_model: str = _model("MOONSHOT")
    qwen_api_key: SecretStr | None = _key("QWEN", "DASHSCOPE_API_KEY")
    qwen_base_url: HttpUrl = _base("QWEN")
    qwen_model: str = _model("QWEN")
    gemini_api_key: SecretStr | None = _key("GEMINI", "GOOGLE_API_KEY")
    gemini_base_url: HttpUrl = _base("GEMINI")
    gemini_model: str = _model("GEMINI")
    ernie_api_key: SecretStr | None = _key("ERNIE", "QIANFAN_API_KEY")
    ernie_base_url: HttpUrl = _base("ERNIE")
    ernie_model: str = _model("ERNIE")
    trae_api_key: SecretStr | None = _key("TRAE")
    trae_base_url: HttpUrl = setting(
        "TRAE_BASE_URL TRAE_BASE_URL TRAE_API_URL",
        "",
        "API address of trae, needed with its key; a trailing /chat/completions is cut off.",
    )
    trae_model: str = setting(
        "TRAE_MODEL", "default", "Model of trae; the API's documentation names none."
    )

    qingyunke_url: HttpUrl = setting(
        "QINGYUNKE_URL",
        "",
        "Qingyunke's chat robot, e.g. http://api.qingyunke.com/api.php, for small talk that "
        "nothing else answers; it gets no personal data. Default: off.",
    )

    @field_validator("trae_base_url")
    @classmethod
    def _without_call(cls, value: str) -> str:
        return value.removesuffix("/chat/completions")


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """A provider to be used. Empty ``base_url`` or ``model``: the provider's default.

    The key of ``custom`` may be empty: local model servers ask for none.
    """

    name: str
    api_key: SecretStr
    base_url: str = ""
    model: str = ""
