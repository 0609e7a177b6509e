"""All settings together, what they must agree on, and their form with the sandbox."""

from datetime import tzinfo
from typing import Any, Literal, cast
from urllib.parse import unquote, urlsplit

from pydantic import (
    AliasChoices,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from domain.errors import ConfigurationError
from engine.settings.accepted import AcceptedSettings
from engine.settings.caches import CacheSettings
from engine.settings.campaigns import CampaignSettings
from engine.settings.channels import ChannelSettings, DeskSettings, NoticeSettings, TaskSettings
from engine.settings.clients import ClientSettings
from engine.settings.context import ContextSettings
from engine.settings.customers import CustomerSettings
from engine.settings.fields import (
    CUSTOM_PROVIDER,
    ENV_FILES,
    PROVIDER_HOSTS,
    PROVIDERS,
    SANDBOX_CREDENTIAL,
    SANDBOX_MAIL_FROM,
    SANDBOX_MODEL,
    SANDBOX_TELEGRAM_TOKEN,
    find_zone,
    http_url,
    is_loopback,
)
from engine.settings.figures import FigureSettings
from engine.settings.models import ModelSettings, ProviderSettings
from engine.settings.pictures import PictureSettings
from engine.settings.platforms import SANDBOX_WECHAT, SANDBOX_WECOM, WechatSettings, WecomSettings
from engine.settings.protection import ProtectionSettings
from engine.settings.rules import SentimentSettings
from engine.settings.scaling import ScalingSettings
from engine.settings.service import AnswerSettings, ServerSettings, StorageSettings, TurnSettings
from engine.settings.tracing import TracingSettings


class Settings(
    ServerSettings,
    ClientSettings,
    StorageSettings,
    TurnSettings,
    ScalingSettings,
    AnswerSettings,
    ContextSettings,
    SentimentSettings,
    ModelSettings,
    CacheSettings,
    TracingSettings,
    ChannelSettings,
    NoticeSettings,
    DeskSettings,
    CustomerSettings,
    TaskSettings,
    PictureSettings,
    WecomSettings,
    WechatSettings,
    CampaignSettings,
    ProtectionSettings,
    FigureSettings,
    AcceptedSettings,
):
    """All settings, checked. Build it with ``load_settings``."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILES,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        str_strip_whitespace=True,
        validate_default=True,
    )

    @field_validator("*", mode="after")
    @classmethod
    def _empty_secret_is_none(cls, value: object) -> object:
        return None if isinstance(value, SecretStr) and not value.get_secret_value() else value

    @model_validator(mode="after")
    def _check_rules(self) -> "Settings":
        self._check_exposure()
        self._check_role()
        self._check_thresholds()
        self._check_pairs()
        self._check_llm()
        return self

    def _check_exposure(self) -> None:
        if not is_loopback(self.host) and self.api_key is None:
            raise ConfigurationError(
                "KEFU_API_KEY",
                f"not set, while the service is to listen on {self.host!r}",
                "a key that callers send as X-API-Key, or KEFU_HOST=127.0.0.1",
            )

    def _check_role(self) -> None:
        if self.role == "api" and self.database_dsn().startswith("sqlite"):
            raise ConfigurationError(
                "KEFU_ROLE",
                "'api' leaves turns to other processes, and SQLite is for one",
                "all, or DATABASE_URL=postgresql://…",
            )

    def _check_thresholds(self) -> None:
        chosen = "clarify_threshold" in self.model_fields_set
        if chosen and self.clarify_threshold > self.answer_threshold:
            raise ConfigurationError(
                "KEFU_CLARIFY_THRESHOLD",
                f"{self.clarify_threshold} is above the answering threshold",
                f"at most {self.answer_threshold}",
            )
        if not chosen and self.clarify_threshold > self.answer_threshold:
            # Seed 004 knows one threshold; setting it low must not need a second variable.
            self.__dict__["clarify_threshold"] = self.answer_threshold
        if self.learn_review_threshold <= self.learn_auto_threshold:
            return
        if "learn_review_threshold" in self.model_fields_set:
            raise ConfigurationError(
                "KEFU_LEARN_REVIEW_THRESHOLD",
                f"{self.learn_review_threshold} is above the threshold of entering by itself",
                f"at most {self.learn_auto_threshold}",
            )
        self.__dict__["learn_review_threshold"] = self.learn_auto_threshold

    def _check_pairs(self) -> None:
        if self.outbox_backoff_base_s > self.outbox_backoff_max_s:
            raise ConfigurationError(
                "KEFU_OUTBOX_BACKOFF_BASE_S",
                f"{self.outbox_backoff_base_s} is above the longest wait",
                f"at most {self.outbox_backoff_max_s}",
            )
        if self.webhook_url and self.webhook_secret is None:
            raise ConfigurationError(
                "KEFU_WEBHOOK_SECRET", "not set, while KEFU_WEBHOOK_URL is", "the shared secret"
            )
        if self.embedding_url and not self.embedding_model:
            raise ConfigurationError(
                "KEFU_EMBEDDING_MODEL", "not set, while KEFU_EMBEDDING_URL is", "a model name"
            )
        if self.rerank_url and not self.rerank_model:
            raise ConfigurationError(
                "KEFU_RERANK_MODEL", "not set, while KEFU_RERANK_URL is", "a model name"
            )
        if self.images_url and not self.images_model:
            raise ConfigurationError(
                "KEFU_IMAGES_MODEL", "not set, while KEFU_IMAGES_URL is", "a model name"
            )

        self._check_mail()
        self._check_wechat()
        self._check_vision()

    def _check_mail(self) -> None:
        bare = self.smtp_security == "none" and not is_loopback(self.smtp_host)
        if bare and self.smtp_password is not None:
            raise ConfigurationError(
                "SMTP_SECURITY",
                "'none' would send SMTP_PASSWORD in clear",
                "tls or starttls",
            )

    def _check_wechat(self) -> None:
        if self.wechat_mode in {"safe", "compatible"} and self.wechat_aes_key is None:
            raise ConfigurationError(
                "WECHAT_AES_KEY",
                f"not set, while WECHAT_MODE is {self.wechat_mode!r}",
                "the EncodingAESKey of the callback",
            )

    def _check_vision(self) -> None:
        if self.vision_url and not self.vision_model:
            raise ConfigurationError(
                "KEFU_VISION_MODEL", "not set, while KEFU_VISION_URL is", "a model name"
            )
        if self.vision_model and not self.vision_url and self.vision_provider() is None:
            raise ConfigurationError(
                "KEFU_VISION_URL",
                "not set, while KEFU_VISION_MODEL is and no OpenAI-compatible provider has a key",
                "the API of the vision model, e.g. https://…/v1",
            )

    def _check_llm(self) -> None:
        if self._llm_name() != CUSTOM_PROVIDER:
            return
        for variable, value in (("LLM_API_BASE", self.llm_api_base), ("LLM_MODEL", self.llm_model)):
            if not value:
                raise ConfigurationError(
                    variable,
                    "not set, while the LLM_ variables name no known provider",
                    "the provider's value, or LLM_PROVIDER=" + "|".join(PROVIDERS),
                )

    def _llm_name(self) -> str:
        """The provider that the LLM_ variables describe; empty if they describe none."""
        if self.llm_provider or not (self.llm_api_key or self.llm_api_base):
            return self.llm_provider
        host = urlsplit(self.llm_api_base).hostname or ""
        known = (name for part, name in PROVIDER_HOSTS.items() if part in host)
        return next(known, CUSTOM_PROVIDER)

    def providers(self) -> tuple[ProviderSettings, ...]:
        """The providers that have a key, in the order in which they are to be tried."""
        llm = self._llm_name()
        order = self.model_providers
        if llm and (llm not in order or "model_providers" not in self.model_fields_set):
            order = (llm, *(name for name in order if name != llm))
        found = (self._provider_settings(name, is_llm=name == llm) for name in order)
        return tuple(provider for provider in found if provider is not None)

    def vision_provider(self) -> ProviderSettings | None:
        """Where the vision model is, unless it has an address of its own."""
        return next((one for one in self.providers() if one.name != "claude"), None)

    def _provider_settings(self, name: str, *, is_llm: bool) -> ProviderSettings | None:
        key, base_url, model = None, "", ""
        if name != CUSTOM_PROVIDER:
            key = cast(SecretStr | None, getattr(self, f"{name}_api_key"))
            base_url = str(getattr(self, f"{name}_base_url"))
            model = str(getattr(self, f"{name}_model"))
        if is_llm:
            key = self.llm_api_key or key
            base_url, model = self.llm_api_base or base_url, self.llm_model or model
        if is_llm and name == CUSTOM_PROVIDER and key is None:
            key = SecretStr("")
        return ProviderSettings(name, key, base_url, model) if key is not None else None

    def database_dsn(self) -> str:
        """The database's address, password included: for the storage layer, never for a log."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.data_dir.expanduser() / 'kefu.db').absolute()}"

    def zone(self) -> tzinfo:
        return find_zone(self.timezone)

    def effective_log_level(self) -> str:
        return "DEBUG" if self.debug else self.log_level

    def address(self) -> str:
        """Where others reach this service."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    def secret_values(self) -> tuple[str, ...]:
        """Every secret in clear, for the mask of the logs; of an address its password too."""
        values: list[str] = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                values += _secret_parts(value.get_secret_value())
        return tuple(dict.fromkeys(values))

    def wechat_callbacks(self) -> Literal["plain", "compatible", "safe"]:
        if self.wechat_mode != "auto":
            return self.wechat_mode
        return "safe" if self.wechat_aes_key is not None else "plain"

    def without_effect(self) -> tuple[str, ...]:
        """Variables that are set and that this version does not use."""
        accepted = AcceptedSettings.model_fields
        return tuple(field_names(name)[0] for name in accepted if name in self.model_fields_set)

    def with_sandbox(self, url: str) -> "Settings":
        """The same settings with every peer simulated by the sandbox at ``url``.

        Keys of models are replaced, since the sandbox shows what it receives to everybody. The
        webhook's secret stays: a signature does not give it away. A provider without key stays
        without: the sandbox is a place, not a configuration.
        """
        base = http_url(url)
        if not base:
            raise ConfigurationError("KEFU_SANDBOX_URL", "is empty", "an http:// URL")
        credential, llm = SecretStr(SANDBOX_CREDENTIAL), self._llm_name()
        changed: dict[str, Any] = {
            "sandbox_url": base,
            "webhook_url": f"{base}/webhook/deliver",
            **self._sandbox_notices(base, credential),
            "wechat_api_base": f"{base}/wechat",
            "appid": SANDBOX_WECHAT.app_id,
            "appsecret": credential,
            "wechat_token": SecretStr(SANDBOX_WECHAT.token),
            "wechat_aes_key": SecretStr(SANDBOX_WECHAT.aes_key),
            # Its page switches between them.
            "wechat_mode": "compatible",
            "wecom_corp_id": SANDBOX_WECOM.corp_id,
            "wecom_agent_id": self.wecom_agent_id or SANDBOX_WECOM.agent_id,
            "wecom_agent_secret": credential,
            "wecom_token": SecretStr(SANDBOX_WECOM.token),
            "wecom_aes_key": SecretStr(SANDBOX_WECOM.aes_key),
            "wecom_api_base": f"{base}/wecom/cgi-bin",
            "wecom_app_messages": True,
            "wecom_callback_ips": (),
            "tianwang_callback_url": f"{base}/tianwang/callback",
            "qingjian_url": f"{base.replace('http', 'ws', 1)}/qingjian/ws",
            "tuhui_url": f"{base}/tuhui",
            "tuhui_api_key": credential,
            "picture_allow_private": True,
            "images_url": f"{base}/images/v1",
            "images_api_key": credential,
            "images_model": self.images_model or SANDBOX_MODEL,
            "image_search_url": "",
            "vision_url": f"{base}/model/vision/v1" if self.vision_url else "",
            "vision_api_key": credential if self.vision_api_key else None,
            "embedding_url": "",
            "rerank_url": f"{base}/rerank/v1" if self.rerank_url else "",
            "qingyunke_url": f"{base}/qingyunke/api.php" if self.qingyunke_url else "",
            "rerank_api_key": credential if self.rerank_api_key else None,
            **self._sandbox_traces(base, credential),
            "llm_api_key": credential if self.llm_api_key else None,
            "llm_api_base": _sandbox_model(base, llm) if llm else "",
            "llm_provider": llm,
        }
        for name in PROVIDERS:
            changed[f"{name}_base_url"] = _sandbox_model(base, name)
            if getattr(self, f"{name}_api_key") is not None:
                changed[f"{name}_api_key"] = credential
        return self.model_copy(update=changed)

    def _sandbox_traces(self, base: str, credential: SecretStr) -> dict[str, Any]:
        """Those that are sent at all; the sandbox shows them."""
        collected = bool(self.otel_endpoint or self.otel_traces_endpoint)
        return {
            "otel_endpoint": f"{base}/otlp" if collected else "",
            "otel_traces_endpoint": "",
            "otel_headers": None,
            "langfuse_host": f"{base}/otlp/langfuse",
            "langfuse_secret_key": credential if self.langfuse_secret_key else None,
            "langsmith_endpoint": f"{base}/otlp/langsmith",
            "langsmith_api_key": credential if self.langsmith_api_key else None,
        }

    def _sandbox_notices(self, base: str, credential: SecretStr) -> dict[str, Any]:
        """Whatever NOTIFICATION_CHANNEL names can be reached there."""
        robots = {target.kind for target in self.notice_targets if not target.to}
        has_robot = self.wecom_robot_url is not None or "wecom" in robots
        return {
            "staff_notice_url": SecretStr(f"{base}/staff/notice"),
            "wecom_robot_url": _sandbox_robot(base) if has_robot else None,
            "telegram_api_base": f"{base}/telegram",
            "telegram_token": SecretStr(SANDBOX_TELEGRAM_TOKEN),
            "feishu_robot_url": SecretStr(
                f"{base}/feishu/open-apis/bot/v2/hook/{SANDBOX_CREDENTIAL}"
            ),
            "feishu_robot_secret": credential,
            "dingtalk_robot_url": SecretStr(
                f"{base}/dingtalk/robot/send?access_token={SANDBOX_CREDENTIAL}"
            ),
            "dingtalk_robot_secret": credential,
            "smtp_host": urlsplit(base).hostname or "",
            "smtp_port": min((urlsplit(base).port or 80) + 1, 65_535),
            "smtp_security": "none",
            "smtp_user": "",
            "smtp_password": None,
            "smtp_from": self.smtp_from or SANDBOX_MAIL_FROM,
        }


def _sandbox_model(base: str, provider: str) -> str:
    # The Anthropic protocol's clients add /v1/messages themselves.
    return f"{base}/model/{provider}" + ("" if provider == "claude" else "/v1")


def _sandbox_robot(base: str) -> SecretStr:
    return SecretStr(f"{base}/wecom/webhook/send?key={SANDBOX_CREDENTIAL}")


def _secret_parts(value: str) -> list[str]:
    try:
        password = urlsplit(value).password if "://" in value else None
    except ValueError:
        password = None
    return [value, *({password, unquote(password)} if password else ())]


def field_names(field: str) -> tuple[str, ...]:
    alias = Settings.model_fields[field].validation_alias
    assert isinstance(alias, AliasChoices)
    return tuple(str(choice) for choice in alias.choices)


def is_secret(field: str) -> bool:
    annotation = Settings.model_fields[field].annotation if field in Settings.model_fields else None
    return "SecretStr" in str(annotation)
