"""Every setting: its environment variables, default, limits and meaning.

``load_settings()`` is the only reader of the environment and of the ``.env`` files in the working
directory; everything else is handed a ``Settings`` or a value of it. A variable with the prefix
``KEFU_`` beats the other names of the same setting, the environment beats ``.env``, and an
override beats both.
"""

import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.desk_hours import Hours, HoursRefused, parse_holidays, parse_hours
from domain.errors import ConfigurationError
from tools.notify.targets import Target, parse_targets
from tools.wx.addresses import network

ENV_FILES = (Path(".env.tianwang"), Path(".env"))
"""Read in this order, a later file wins. The first is the one that seed 000 names."""

PREFIX = "KEFU_"
PROVIDERS = ("deepseek", "openai", "claude", "moonshot", "qwen", "gemini", "ernie", "trae")
CUSTOM_PROVIDER = "custom"
_SANDBOX_CREDENTIAL = "sandbox-credential"
_SANDBOX_MODEL = "sandbox-images"
SANDBOX_TELEGRAM_TOKEN = "1000001:sandbox-credential"  # noqa: S105 - of the sandbox
SANDBOX_MAIL_FROM = "kefu@sandbox.example"
_OTHER_PROVIDER_NAMES = {
    "kimi": "moonshot",
    "anthropic": "claude",
    "gpt": "openai",
    "google": "gemini",
    "dashscope": "qwen",
    "tongyi": "qwen",
    "qianfan": "ernie",
    "wenxin": "ernie",
    "traecn": "trae",
}
_PROVIDER_HOSTS = {
    "moonshot.": "moonshot",
    "deepseek.com": "deepseek",
    "openai.com": "openai",
    "anthropic.com": "claude",
    "dashscope": "qwen",
    "googleapis.com": "gemini",
    "baidubce.com": "ernie",
    "traecn.com": "trae",
}


def _setting(names: str, default: Any, meaning: str, **limits: Any) -> Any:
    """A field read from ``KEFU_`` and the first of ``names``, then from the others in order.

    A lone name is read without the prefix too.
    """
    own, *others = names.split()
    alias = AliasChoices(PREFIX + own, *(others or (own,)))
    return Field(default, validation_alias=alias, description=meaning, **limits)


def _refuse(expected: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "Input should be {expected}", {"expected": expected})


def _http_url(value: str) -> str:
    if not value:
        return value
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc:
        raise _refuse("an http:// or https:// URL without user name and password")
    return value.rstrip("/")


def _websocket_url(value: str) -> str:
    if value and not value.startswith(("ws://", "wss://")):
        raise _refuse("a ws:// or wss:// URL without user name and password")
    _http_url(value.replace("ws", "http", 1))
    return value.rstrip("/")


def _secret_http_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        _http_url(value.get_secret_value())
    return value


def _database_url(value: SecretStr | None) -> SecretStr | None:
    scheme = value.get_secret_value().partition(":")[0].partition("+")[0] if value else "sqlite"
    if scheme not in {"sqlite", "postgresql", "postgres"}:
        raise _refuse("a URL that starts with sqlite:/// or postgresql://")
    return value


def _notice_targets(value: str) -> str:
    try:
        return ",".join(target.name for target in parse_targets(value))
    except ValueError as error:
        raise _refuse(str(error)) from None


def _path(value: str) -> str:
    if not value.startswith("/") or any(sign in value for sign in "?#{} "):
        raise _refuse("a URL path that starts with /")
    return value.rstrip("/")


def _existing_file(value: Path | None) -> Path | None:
    if value is None:
        return None
    if not value.expanduser().is_file():
        raise _refuse("the path of an existing file")
    return value.expanduser()


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _provider(value: str) -> str:
    """The canonical name of a provider: ``Kimi`` is ``moonshot``."""
    name = _OTHER_PROVIDER_NAMES.get(value.strip().lower(), value.strip().lower())
    if name not in {"", *PROVIDERS, CUSTOM_PROVIDER}:
        raise _refuse("one of " + ", ".join((*PROVIDERS, CUSTOM_PROVIDER)))
    return name


def _provider_order(value: object) -> object:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, tuple | list):
        return value
    known = (_provider(str(name)) for name in names)
    return tuple(dict.fromkeys(name for name in known if name))


def _pairs(value: object) -> object:
    """``webhook=1.2,web=0`` as a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    return {name.strip(): given.strip() for name, _, given in pairs}


_ORDER_FIELDS = {
    "order": "keyword1",
    "service": "keyword2",
    "status": "keyword3",
    "time": "keyword4",
}


def _order_fields(value: dict[str, str]) -> dict[str, str]:
    if not value:
        return _ORDER_FIELDS
    if not value.keys() <= _ORDER_FIELDS.keys() or not all(value.values()):
        raise _refuse("order=, service=, status= and time= with names of the template's fields")
    return value


def _skills(value: object) -> object:
    """``橘子=restore,cutout;婷婷=design``, or the same as a JSON object of lists."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            raise _refuse('JSON such as {"name": ["type"]}, or name=type,type;…') from None
    pairs = [part.partition("=") for part in value.split(";") if part.strip()]
    return {name.strip(): _words(types) for name, _, types in pairs}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _listed(value: object) -> object:
    return _words(value) if isinstance(value, str) else value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        for entry in value:
            network(entry)
    except ValueError:
        raise _refuse("addresses such as 101.226.103.0/24, 1.2.3.4 or 1.2.3.*") from None
    return value


def _desk_hours(value: str) -> str:
    try:
        parse_hours(value)
    except HoursRefused as error:
        raise _refuse(error.expected) from None
    return value


def _desk_holidays(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        parse_holidays(value)
    except HoursRefused as error:
        raise _refuse(error.expected) from None
    return value


def _existing_folder(value: Path | None) -> Path | None:
    if value is None:
        return None
    if not value.expanduser().is_dir():
        raise _refuse("the path of an existing folder")
    return value.expanduser()


def _timezone(value: str) -> str:
    try:
        find_zone(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _refuse("a time zone name such as Asia/Shanghai") from None
    return value


def find_zone(name: str) -> tzinfo:
    """Asia/Shanghai works without a time zone database too: it has had no summer time since 1991.

    Raises ZoneInfoNotFoundError, ValueError or OSError for a name that is no zone.
    """
    try:
        return ZoneInfo(name)
    except ZoneInfoNotFoundError:
        if name == "Asia/Shanghai":
            return timezone(timedelta(hours=8), name)
        raise


def is_loopback(host: str) -> bool:
    """A name other than ``localhost`` counts as public: what it resolves to may change."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


HttpUrl = Annotated[str, AfterValidator(_http_url)]
WebSocketUrl = Annotated[str, AfterValidator(_websocket_url)]
SecretUrl = Annotated[SecretStr | None, AfterValidator(_secret_http_url)]
UrlPath = Annotated[str, AfterValidator(_path)]
ExistingFile = Annotated[Path | None, AfterValidator(_existing_file)]
ExistingFolder = Annotated[Path | None, AfterValidator(_existing_folder)]
Days = Annotated[float, Field(ge=0, le=3_650, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class ServerSettings(BaseSettings):
    """Service"""

    host: str = _setting(
        "HOST AI_CS_HOST HOST",
        "127.0.0.1",
        "Address to listen on. Anything but loopback needs KEFU_API_KEY.",
        min_length=1,
    )
    port: int = _setting(
        "PORT AI_CS_PORT PORT", 6060, "Port to listen on; 0 takes a free one.", ge=0, le=65_535
    )
    public_url: HttpUrl = _setting(
        "PUBLIC_URL AI_CS_API_URL",
        "",
        "Where others reach this service; default: built from host and port.",
    )
    data_dir: Path = _setting(
        "DATA_DIR", Path("data"), "Folder of database, index and checkpoints."
    )
    api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("KEFU_API_KEY"),
        description="Key that callers send as X-API-Key. Not set: no key is asked on loopback.",
    )
    secret_key: SecretStr | None = _setting(
        "SECRET_KEY",
        None,
        "Signs the tokens of kefu token, at least 32 bytes. Does not replace KEFU_API_KEY.",
    )
    max_body_bytes: int = _setting(
        "MAX_BODY_BYTES", 1_048_576, "Largest request body, in bytes.", ge=1_024, le=104_857_600
    )
    timezone: Annotated[str, AfterValidator(_timezone)] = _setting(
        "TIMEZONE", "Asia/Shanghai", "Time zone of times that are written without one."
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = (
        _setting("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR.")
    )
    log_json: bool = _setting(
        "LOG_JSON", False, "One JSON object per log line instead of key=value."
    )
    debug: bool = _setting("DEBUG", False, "true is the same as KEFU_LOG_LEVEL=DEBUG.")
    sandbox_url: HttpUrl = _setting(
        "SANDBOX_URL", "", "Set: every peer is the simulated one at this address."
    )


class StorageSettings(BaseSettings):
    """Storage"""

    database_url: Annotated[SecretStr | None, AfterValidator(_database_url)] = _setting(
        "DATABASE_URL DATABASE_URL KB_DB_URL",
        None,
        "sqlite:///path or postgresql://…; default: kefu.db in the data folder. "
        "Knowledge is in the same database, so KB_DB_URL names it too.",
    )
    sqlite_synchronous: Annotated[Literal["FULL", "NORMAL"], BeforeValidator(_upper)] = _setting(
        "SQLITE_SYNCHRONOUS",
        "FULL",
        "FULL survives a power cut; NORMAL is faster and may lose the last commits.",
    )


class TurnSettings(BaseSettings):
    """Turns and delivery"""

    sync_deadline_s: PositiveSeconds = _setting(
        "SYNC_DEADLINE_S",
        20,
        "Seconds that a caller waits for the answer before it goes out otherwise.",
    )
    turn_timeout_s: PositiveSeconds = _setting(
        "TURN_TIMEOUT_S", 60, "Seconds after which a run of the graph is given up and tried again."
    )
    turn_max_attempts: int = _setting(
        "TURN_MAX_ATTEMPTS", 3, "Runs of one turn before the default sentence is sent.", ge=1, le=20
    )
    debounce_async_s: Seconds = _setting(
        "DEBOUNCE_ASYNC_S",
        0.8,
        "Quiet seconds to wait for more messages where nobody waits for the response.",
    )
    debounce_sync_s: Seconds = _setting(
        "DEBOUNCE_SYNC_S", 0, "The same where a caller waits for the response."
    )
    debounce_max_s: Seconds = _setting(
        "DEBOUNCE_MAX_S", 3, "Longest wait in seconds since the first unread message."
    )
    debounce_channels: Annotated[dict[str, Seconds], NoDecode, BeforeValidator(_pairs)] = _setting(
        "DEBOUNCE_CHANNELS", {}, "Quiet seconds of single channels, e.g. webhook=1.2,web=0."
    )
    merge_limit: int = _setting(
        "MERGE_LIMIT", 10, "Most messages that one turn answers together.", ge=1, le=100
    )
    checkpoints_per_thread: int = _setting(
        "CHECKPOINTS_PER_THREAD", 2, "Checkpoints kept for each conversation.", ge=1, le=1_000
    )
    lease_s: PositiveSeconds = _setting(
        "LEASE_S", 30, "Seconds for which a process owns a conversation before others may take it."
    )
    sweep_s: PositiveSeconds = _setting(
        "SWEEP_S", 2, "Seconds between two searches for work that nobody was woken for."
    )
    outbox_max_attempts: int = _setting(
        "OUTBOX_MAX_ATTEMPTS",
        12,
        "Deliveries tried before a message becomes a dead letter.",
        ge=1,
        le=100,
    )
    outbox_backoff_base_s: PositiveSeconds = _setting(
        "OUTBOX_BACKOFF_BASE_S",
        1,
        "Wait in seconds after the first failed delivery; doubles each time.",
    )
    outbox_backoff_max_s: PositiveSeconds = _setting(
        "OUTBOX_BACKOFF_MAX_S", 300, "Longest wait in seconds between two deliveries."
    )


class AnswerSettings(BaseSettings):
    """Answers and knowledge"""

    answer_threshold: Share = _setting(
        "ANSWER_THRESHOLD ANSWER_THRESHOLD KB_SIMILARITY_THRESHOLD CONFIDENCE_THRESHOLD",
        0.75,
        "Confidence from which the knowledge base answers. "
        "KB_SIMILARITY_THRESHOLD and CONFIDENCE_THRESHOLD mean the same and "
        "move this threshold only.",
    )
    clarify_threshold: Share = _setting(
        "CLARIFY_THRESHOLD",
        0.55,
        "Confidence from which we ask back; below it a person takes over. "
        "Not set: 0.55, or the answering threshold where that is lower.",
    )
    approval_hours: Annotated[float, Field(gt=0, le=720, allow_inf_nan=False)] = _setting(
        "APPROVAL_HOURS",
        4,
        "Hours for which a quote waits for a person's approval; then a person takes over.",
    )
    kb_top_k: int = _setting(
        "KB_TOP_K", 3, "Knowledge entries that a question is answered from.", ge=1, le=50
    )
    retrieval_cache_size: int = _setting(
        "RETRIEVAL_CACHE_SIZE", 2_048, "Searches kept in memory; 0: none.", ge=0, le=1_000_000
    )
    price_book_file: ExistingFile = _setting(
        "PRICE_BOOK_FILE",
        None,
        "Price book (YAML), taken within seconds when it changes; default: the one that comes with "
        "the product.",
    )
    rules_file: ExistingFile = _setting(
        "RULES_FILE", None, "Rules (YAML); default: the ones that come with the product."
    )
    templates_file: ExistingFile = _setting(
        "TEMPLATES_FILE",
        None,
        "Sentences for customers (YAML); what it leaves out keeps its default.",
    )
    chroma_url: HttpUrl = _setting(
        "CHROMA_URL", "", "Chroma server; default: an index inside the data folder."
    )
    embedding_url: HttpUrl = _setting(
        "EMBEDDING_URL", "", "OpenAI-compatible embeddings API; default: none."
    )
    embedding_model: str = _setting("EMBEDDING_MODEL", "", "Model name for KEFU_EMBEDDING_URL.")
    embedding_dimensions: int = _setting(
        "EMBEDDING_DIMENSIONS", 1_024, "Length of that model's vectors.", ge=8, le=16_384
    )
    embedding_api_key: SecretStr | None = _setting(
        "EMBEDDING_API_KEY EMBEDDING_API_KEY EMBEDDING_KEY", None, "Key for KEFU_EMBEDDING_URL."
    )
    embedding_batch: int = _setting(
        "EMBEDDING_BATCH",
        0,
        "Texts in one call of KEFU_EMBEDDING_URL; 0: what its provider is known to take.",
        ge=0,
        le=2_048,
    )
    rerank_url: HttpUrl = _setting(
        "RERANK_URL",
        "",
        "Re-ranking API (POST /rerank) asked about middling confidences; default: none.",
    )
    rerank_model: str = _setting("RERANK_MODEL", "", "Model name for KEFU_RERANK_URL.")
    rerank_api_key: SecretStr | None = _setting("RERANK_API_KEY", None, "Key for KEFU_RERANK_URL.")
    rerank_timeout_s: PositiveSeconds = _setting(
        "RERANK_TIMEOUT_S",
        1.5,
        "Seconds for one call of KEFU_RERANK_URL; then the order without it stays.",
    )
    index_poll_s: PositiveSeconds = _setting(
        "INDEX_POLL_S",
        2,
        "Seconds between two looks for changed knowledge; changes by other processes are found so.",
    )
    learn_auto_threshold: Share = _setting(
        "LEARN_AUTO_THRESHOLD",
        0.80,
        "Confidence from which a suggested answer becomes knowledge by itself.",
    )
    learn_review_threshold: Share = _setting(
        "LEARN_REVIEW_THRESHOLD",
        0.70,
        "Confidence from which a suggested answer waits for review; below it is dropped. "
        "Not set: 0.70, or the threshold above where that is lower.",
    )
    learn_sweep_s: PositiveSeconds = _setting(
        "LEARN_SWEEP_S",
        30,
        "Seconds between two sweeps that gather unknown questions; new ones are gathered at once.",
    )
    unknown_max_open: int = _setting(
        "UNKNOWN_MAX_OPEN", 2_000, "Most clusters of unknown questions kept open.", ge=1, le=100_000
    )
    unknown_retention_days: Annotated[float, Field(gt=0, le=3_650, allow_inf_nan=False)] = _setting(
        "UNKNOWN_RETENTION_DAYS", 90, "Days after which a cluster that nobody asks for is closed."
    )
    review_turn_days: Days = _setting(
        "REVIEW_TURN_DAYS",
        7,
        "Days for which a turn's steps and prompts are kept, so that it can be opened and re-run; "
        "0 keeps none.",
    )
    regressions_dir: Path | None = _setting(
        "REGRESSIONS_DIR",
        None,
        "Folder of the conversations that were saved as tests; default: regressions in the data "
        "folder.",
    )


def _key(name: str, *others: str) -> Any:
    own = f"{name}_API_KEY"
    meaning = f"Key of the provider {name.lower()}; not set: the provider is not used."
    return _setting(" ".join((own, own, *others)), None, meaning)


def _base(name: str) -> Any:
    meaning = f"API address of {name.lower()}; default: the provider's own."
    return _setting(f"{name}_BASE_URL", "", meaning)


def _model(name: str) -> Any:
    return _setting(f"{name}_MODEL", "", f"Model of {name.lower()}; default: the product's choice.")


class ModelSettings(BaseSettings):
    """Models"""

    model_providers: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_provider_order)] = (
        _setting(
            "MODEL_PROVIDERS",
            PROVIDERS,
            "Providers in the order in which they are tried; those without key are left out.",
        )
    )
    model_timeout_s: PositiveSeconds = _setting(
        "MODEL_TIMEOUT_S", 12, "Seconds for one call of a model."
    )
    model_deadline_s: PositiveSeconds = _setting(
        "MODEL_DEADLINE_S",
        15,
        "Seconds for all calls of one answer together; then the knowledge base answers alone.",
    )
    model_attempts: int = _setting(
        "MODEL_ATTEMPTS", 2, "Calls of one provider before the next one is tried.", ge=1, le=10
    )
    model_daily_tokens: int = _setting(
        "MODEL_DAILY_TOKENS",
        1_000_000,
        "Tokens a day, after which answers come without a model; 0: no limit.",
        ge=0,
    )
    model_price_file: ExistingFile = _setting(
        "MODEL_PRICE_FILE",
        None,
        "Prices of models (YAML); default: the list that comes with the product.",
    )
    llm_provider: Annotated[str, AfterValidator(_provider)] = _setting(
        "LLM_PROVIDER",
        "",
        "Provider that the LLM_ variables describe (kimi, deepseek, …, custom); default: told "
        "from LLM_API_BASE. It is tried first unless KEFU_MODEL_PROVIDERS lists it elsewhere.",
    )
    llm_api_key: SecretStr | None = _setting("LLM_API_KEY", None, "Key of that provider.")
    llm_api_base: HttpUrl = _setting("LLM_API_BASE", "", "API address of that provider.")
    llm_model: str = _setting("LLM_MODEL", "", "Model of that provider.")
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
    trae_base_url: HttpUrl = _setting(
        "TRAE_BASE_URL TRAE_BASE_URL TRAE_API_URL",
        "",
        "API address of trae, needed with its key; a trailing /chat/completions is cut off.",
    )
    trae_model: str = _setting(
        "TRAE_MODEL", "default", "Model of trae; the API's documentation names none."
    )

    qingyunke_url: HttpUrl = _setting(
        "QINGYUNKE_URL",
        "",
        "Qingyunke's chat robot, e.g. http://api.qingyunke.com/api.php, for small talk that "
        "nothing else answers; it gets no personal data. Default: off.",
    )

    @field_validator("trae_base_url")
    @classmethod
    def _without_call(cls, value: str) -> str:
        return value.removesuffix("/chat/completions")


class ChannelSettings(BaseSettings):
    """Channels, staff and desk"""

    webhook_url: HttpUrl = _setting(
        "WEBHOOK_URL",
        "",
        "Where answers of the webhook channel are posted; needs KEFU_WEBHOOK_SECRET.",
    )
    webhook_secret: SecretStr | None = _setting(
        "WEBHOOK_SECRET", None, "Secret of the webhook signatures, both ways."
    )
    webhook_account: str = _setting(
        "WEBHOOK_ACCOUNT",
        "shop",
        "Account name of the webhook channel.",
        min_length=1,
        max_length=128,
    )
    service_status: Annotated[Literal["online", "offline"], BeforeValidator(_lower)] = _setting(
        "SERVICE_STATUS",
        "online",
        "Whether somebody is at the human desk: online or offline. Offline, customers are told so "
        "and keep their place.",
    )
    max_queue_length: int = _setting(
        "MAX_QUEUE_LENGTH",
        10,
        "Customers that may wait when POST /api/transfer_service asks for a person; what the bot "
        "itself hands over is never turned away.",
        ge=0,
        le=100_000,
    )


class NoticeSettings(BaseSettings):
    """Notices to staff"""

    notification_enabled: bool = _setting(
        "NOTIFICATION_ENABLED", True, "false: staff is not notified."
    )
    notification_channel: Annotated[str, AfterValidator(_notice_targets)] = _setting(
        "NOTIFICATION_CHANNEL",
        "",
        "Where staff is notified, a comma list of telegram:ID, feishu, dingtalk, mail:ADDRESS, "
        "wecom:USERID|USERID (messages of the application WECOM_AGENT_ID), wecom (the group of "
        "WECOM_ROBOT_URL) and url (STAFF_NOTICE_URL); each gets every notice. Empty: "
        "WECOM_ROBOT_URL, or else STAFF_NOTICE_URL.",
    )
    staff_notice_url: SecretUrl = _setting(
        "STAFF_NOTICE_URL",
        None,
        "Where notices to staff are posted. A secret, since such addresses carry keys.",
    )
    wecom_robot_url: SecretUrl = _setting(
        "WECOM_ROBOT_URL",
        None,
        "A WeCom group robot, its whole address with the key: notices to staff and designers go to "
        "its group, and no more to STAFF_NOTICE_URL.",
    )
    telegram_token: SecretStr | None = _setting(
        "TELEGRAM_TOKEN TELEGRAM_TOKEN TELEGRAM_BOT_TOKEN", None, "Token of the Telegram bot."
    )
    telegram_api_base: HttpUrl = _setting(
        "TELEGRAM_API_BASE",
        "https://api.telegram.org",
        "Telegram's API, or a Bot API server of your own.",
    )
    feishu_robot_url: SecretUrl = _setting(
        "FEISHU_ROBOT_URL", None, "A Feishu or Lark custom robot, its whole address."
    )
    feishu_robot_secret: SecretStr | None = _setting(
        "FEISHU_ROBOT_SECRET", None, "Its signing secret, where signatures are switched on."
    )
    dingtalk_robot_url: SecretUrl = _setting(
        "DINGTALK_ROBOT_URL", None, "A DingTalk custom robot, its whole address with access_token."
    )
    dingtalk_robot_secret: SecretStr | None = _setting(
        "DINGTALK_ROBOT_SECRET", None, "Its signing secret (SEC…), where signatures are on."
    )
    smtp_host: str = _setting(
        "SMTP_HOST",
        "",
        "Mail server that takes notices.",
        pattern=r"^[A-Za-z0-9._:\-]*$",
        max_length=253,
    )
    smtp_port: int = _setting(
        "SMTP_PORT", 0, "Its port; 0: 465, 587 or 25, as SMTP_SECURITY has it.", ge=0, le=65_535
    )
    smtp_security: Annotated[Literal["tls", "starttls", "none"], BeforeValidator(_lower)] = (
        _setting(
            "SMTP_SECURITY",
            "tls",
            "tls, starttls, or none: a relay that asks for no password.",
        )
    )
    smtp_user: str = _setting("SMTP_USER", "", "User name there.", max_length=254)
    smtp_password: SecretStr | None = _setting(
        "SMTP_PASSWORD", None, "Password or authorisation code of that user."
    )
    smtp_from: str = _setting(
        "SMTP_FROM",
        "",
        "Address that the mails come from; default: SMTP_USER.",
        pattern=r"^([^\s<>@,;:\"]+@[A-Za-z0-9.\-]+)?$",
        max_length=254,
    )
    smtp_ca_file: ExistingFile = _setting(
        "SMTP_CA_FILE", None, "PEM file of the authority that signed the mail server's certificate."
    )

    @property
    def notice_targets(self) -> tuple[Target, ...]:
        """The places that NOTIFICATION_CHANNEL names."""
        return parse_targets(self.notification_channel)

    @property
    def wecom_staff(self) -> tuple[str, ...]:
        """UserIDs that NOTIFICATION_CHANNEL names."""
        named = (one.to.split("|") for one in self.notice_targets if one.kind == "wecom")
        return tuple(dict.fromkeys(user for users in named for user in users if user))


class DeskSettings(BaseSettings):
    """The human desk"""

    desk_hours: Annotated[str, AfterValidator(_desk_hours)] = _setting(
        "DESK_HOURS",
        "",
        "When people are at the desk, weekdays from Monday 1, e.g. "
        "1-5 09:00-12:00,13:30-18:00; 6 10:00-16:00. Default: always.",
    )
    desk_holidays: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_desk_holidays)
    ] = _setting(
        "DESK_HOLIDAYS",
        (),
        "Days on which nobody is, with commas between them, e.g. 2026-10-01; with ! before it a "
        "day is worked though its weekday is not, e.g. !2026-10-10.",
    )
    desk_assign: bool = _setting(
        "DESK_ASSIGN",
        True,
        "true: who waits is given to the online agent with the least to do. false: agents take.",
    )
    desk_first_reply_s: PositiveSeconds = _setting(
        "DESK_FIRST_REPLY_S",
        60,
        "Seconds in which a person has to say the first word; then another agent gets the "
        "customer, or staff is notified.",
    )
    desk_reply_s: PositiveSeconds = _setting(
        "DESK_REPLY_S", 180, "The same for each later word that the customer waits for."
    )
    desk_agent_away_s: Annotated[float, Field(ge=5, le=86_400, allow_inf_nan=False)] = _setting(
        "DESK_AGENT_AWAY_S",
        90,
        "Seconds without a sign of life of an agent's console, after which their customers go back "
        "to the front of the queue.",
    )
    desk_idle_s: PositiveSeconds = _setting(
        "DESK_IDLE_S",
        1_800,
        "Seconds of a customer's silence after which their talk with a person is resolved.",
    )
    desk_max_load: int = _setting(
        "DESK_MAX_LOAD", 8, "Customers that a new agent has at once at most.", ge=1, le=1_000
    )
    desk_session_hours: Annotated[float, Field(gt=0, le=720, allow_inf_nan=False)] = _setting(
        "DESK_SESSION_HOURS", 12, "Hours for which an agent stays signed in."
    )
    desk_rating: bool = _setting(
        "DESK_RATING", True, "true: customers are asked how it was when a person has resolved it."
    )
    desk_tell_s: PositiveSeconds = _setting(
        "DESK_TELL_S",
        60,
        "A customer who waits for a person and goes on writing is told of the queue at most once "
        "in so many seconds.",
    )
    desk_patience_s: PositiveSeconds = _setting(
        "DESK_PATIENCE_S",
        600,
        "Seconds for which nobody but a person answers who asked for one; then the bot says what "
        "it surely knows beside. Complaints always wait for a person.",
    )
    desk_loop_s: PositiveSeconds = _setting(
        "DESK_LOOP_S",
        86_400,
        "Seconds in which the bot hands the same question over at most DESK_LOOP_LIMIT times; then "
        "it says so and offers a person instead.",
    )
    desk_loop_limit: int = _setting(
        "DESK_LOOP_LIMIT", 1, "See DESK_LOOP_S. Who asks for a person gets one.", ge=1, le=100
    )

    def hours(self) -> Hours:
        """When people are at the desk, in the service's time zone."""
        closed, worked = parse_holidays(self.desk_holidays)
        return Hours(parse_hours(self.desk_hours), closed, worked)


class TaskSettings(BaseSettings):
    """Tasks, tools and the peers behind them"""

    task_receive: UrlPath = _setting(
        "TASK_RECEIVE", "/api/task/receive", "Path on which Tianwang hands over a task."
    )
    task_status: UrlPath = _setting(
        "TASK_STATUS", "/api/task/status", "Path under which Tianwang asks for a task."
    )
    task_cancel: UrlPath = _setting(
        "TASK_CANCEL", "/api/task/cancel", "Path on which Tianwang cancels a task."
    )
    task_list: UrlPath = _setting(
        "TASK_LIST", "/api/task/list", "Path on which Tianwang lists tasks."
    )
    health: UrlPath = _setting("HEALTH", "/api/health", "Path of the health check.")
    tianwang_callback_url: HttpUrl = _setting(
        "TIANWANG_CALLBACK_URL", "", "Where Tianwang is told of a task's end; default: nowhere."
    )
    tianwang_callback_secret: SecretStr | None = _setting(
        "TIANWANG_CALLBACK_SECRET", None, "Secret that signs those callbacks."
    )
    callback_hours: Annotated[float, Field(ge=24, le=720, allow_inf_nan=False)] = _setting(
        "CALLBACK_HOURS", 48, "Hours for which a callback is tried before it is a dead letter."
    )
    task_channel: str = _setting(
        "TASK_CHANNEL",
        "",
        "Channel for customers of tasks who have not written yet; default: qingjian where "
        "QINGJIAN_URL is set.",
        pattern=r"^[a-z_]*$",
    )
    task_account: str = _setting(
        "TASK_ACCOUNT", "", "Account on that channel, e.g. a shop's acc_id.", max_length=128
    )
    task_late_s: Annotated[float, Field(ge=1, le=31_536_000, allow_inf_nan=False)] = _setting(
        "TASK_LATE_S",
        86_400,
        "Seconds after its time in which a time_reach task still fires, e.g. after a standstill; "
        "later it expires.",
    )
    task_backoff_base_s: PositiveSeconds = _setting(
        "TASK_BACKOFF_BASE_S", 2, "Wait in seconds before a failed action is tried again; doubles."
    )
    qingjian_url: WebSocketUrl = _setting(
        "QINGJIAN_URL", "", "WebSocket of the Qingjian software, ws://…; default: not connected."
    )
    qingjian_mapping_file: ExistingFile = _setting(
        "QINGJIAN_MAPPING_FILE",
        None,
        "How its frames are read and written (JSON); default: what the sandbox speaks.",
    )
    tuhui_url: HttpUrl = _setting(
        "TUHUI_URL", "", "Tuhui's dispatch API; default: designers' work goes to the human desk."
    )
    tuhui_api_key: SecretStr | None = _setting("TUHUI_API_KEY", None, "Key of that API.")
    tuhui_timeout_s: PositiveSeconds = _setting(
        "TUHUI_TIMEOUT_S", 10, "Seconds for one call of that API."
    )
    tuhui_sla_s: Seconds = _setting(
        "TUHUI_SLA_S",
        1_800,
        "Seconds in which a designer has to accept; then another one gets the task. 0: no limit.",
    )
    tuhui_wait_s: PositiveSeconds = _setting(
        "TUHUI_WAIT_S", 30, "Seconds between two looks for a designer while none is online."
    )
    tuhui_skills: Annotated[
        dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]],
        NoDecode,
        BeforeValidator(_skills),
    ] = _setting(
        "TUHUI_SKILLS",
        {},
        "What designers do (task types of Tuhui, services of the price book), name=type,type;… or"
        " JSON; who is not named does everything.",
    )


class PictureSettings(BaseSettings):
    """Pictures"""

    picture_max_bytes: int = _setting(
        "PICTURE_MAX_BYTES",
        20 * 1_048_576,
        "Largest picture file, in bytes.",
        ge=65_536,
        le=209_715_200,
    )
    picture_max_pixels: int = _setting(
        "PICTURE_MAX_PIXELS", 50_000_000, "Most pixels of a picture.", ge=65_536, le=400_000_000
    )
    picture_fetch_s: PositiveSeconds = _setting(
        "PICTURE_FETCH_S", 8, "Seconds for fetching a customer's picture from its address."
    )
    picture_read_s: PositiveSeconds = _setting(
        "PICTURE_READ_S",
        6,
        "Seconds that an answer waits for the text on a picture; reading goes on without it.",
    )
    ocr_queue: int = _setting(
        "OCR_QUEUE", 64, "Most pictures that wait for their text to be read.", ge=1, le=1_000
    )
    ocr_idle_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = _setting(
        "OCR_IDLE_S",
        600,
        "Quiet seconds after which the processes that measure and read pictures end.",
    )
    picture_allow_private: bool = _setting(
        "PICTURE_ALLOW_PRIVATE",
        False,
        "true: pictures may be fetched from private and loopback addresses.",
    )
    picture_work_s: PositiveSeconds = _setting(
        "PICTURE_WORK_S",
        240,
        "Seconds for the automatic work on one order; then it goes to a designer.",
    )
    picture_keep_days: Days = _setting(
        "PICTURE_KEEP_DAYS",
        90,
        "Days for which a picture that no open order needs is kept since its last use; "
        "0: for ever.",
    )
    picture_link_days: Annotated[float, Field(gt=0, le=365, allow_inf_nan=False)] = _setting(
        "PICTURE_LINK_DAYS",
        7,
        "Days for which the address of a picture that was sent to a customer works.",
    )
    images_url: HttpUrl = _setting(
        "IMAGES_URL",
        "",
        "OpenAI-compatible images API that edits pictures, e.g. https://…/v1; default: what can "
        "be done here, else a designer. Needs KEFU_IMAGES_MODEL.",
    )
    images_api_key: SecretStr | None = _setting("IMAGES_API_KEY", None, "Key of that API.")
    images_model: str = _setting("IMAGES_MODEL", "", "Model of that API.")
    images_timeout_s: PositiveSeconds = _setting(
        "IMAGES_TIMEOUT_S", 120, "Seconds for one call of that API."
    )
    vision_model: str = _setting(
        "VISION_MODEL",
        "",
        "Vision model that describes pictures for staff; default: none. It sees no picture that "
        "looks like a document.",
    )
    vision_url: HttpUrl = _setting(
        "VISION_URL",
        "",
        "OpenAI-compatible API of that model, e.g. https://…/v1; default: that of the first "
        "provider that has one.",
    )
    vision_api_key: SecretStr | None = _setting(
        "VISION_API_KEY", None, "Key of that API; default: that provider's."
    )
    vision_timeout_s: PositiveSeconds = _setting(
        "VISION_TIMEOUT_S", 20, "Seconds for one description; no answer waits for it."
    )
    picture_library: ExistingFolder = _setting(
        "PICTURE_LIBRARY", None, "Folder of pictures in which originals are looked for."
    )
    picture_library_rescan_s: PositiveSeconds = _setting(
        "PICTURE_LIBRARY_RESCAN_S", 60, "Seconds after which that folder is looked through again."
    )
    image_search_url: HttpUrl = _setting(
        "IMAGE_SEARCH_URL", "", "Image search service, asked where the folder holds no original."
    )
    image_search_key: SecretStr | None = _setting("IMAGE_SEARCH_KEY", None, "Key of that service.")
    image_search_timeout_s: PositiveSeconds = _setting(
        "IMAGE_SEARCH_TIMEOUT_S", 30, "Seconds for one call of that service."
    )


class WecomSettings(BaseSettings):
    """WeCom"""

    wecom_corp_id: str = _setting(
        "WECOM_CORP_ID",
        "",
        "WeCom company id; with WECOM_AGENT_SECRET, WeCom is used.",
        max_length=64,
    )
    wecom_agent_id: str = _setting("WECOM_AGENT_ID", "", "WeCom application id.")
    wecom_agent_secret: SecretStr | None = _setting(
        "WECOM_AGENT_SECRET", None, "WeCom application secret."
    )
    wecom_token: SecretStr | None = _setting(
        "WECOM_TOKEN", None, "Token of the WeCom callback, whose address is /wecom/callback."
    )
    wecom_aes_key: SecretStr | None = _setting(
        "WECOM_AES_KEY WECOM_AES_KEY WECOM_ENCODING_AES_KEY",
        None,
        "EncodingAESKey of the WeCom callback.",
    )
    wecom_api_base: HttpUrl = _setting(
        "WECOM_API_BASE",
        "https://qyapi.weixin.qq.com/cgi-bin",
        "WeCom's API, up to and with /cgi-bin.",
    )
    wecom_kf_accounts: Annotated[tuple[Name, ...], NoDecode, BeforeValidator(_listed)] = _setting(
        "WECOM_KF_ACCOUNTS",
        (),
        "Accounts of WeChat customer service (open_kfid) to serve, with commas between them; "
        "default: all of the application's.",
    )
    wecom_kf_hand_over: Annotated[Literal["auto", "pool", "desk"], BeforeValidator(_lower)] = (
        _setting(
            "WECOM_KF_HAND_OVER",
            "auto",
            "Where a customer of WeChat customer service waits for a person: pool is the account's "
            "waiting pool, in which servicers answer with the WeCom client and the bot keeps quiet "
            "until they end the session; desk is the human desk here; auto is the desk once it has "
            "an agent, else the pool. What the pool refuses stays with the desk.",
        )
    )
    wecom_kf_servicers: Annotated[tuple[Name, ...], NoDecode, BeforeValidator(_listed)] = _setting(
        "WECOM_KF_SERVICERS",
        (),
        "Servicers (userid) who get such a customer at once, the first of them who receives, with "
        "commas between them; default: whoever takes them from the pool.",
    )
    wecom_welcome_name: str = _setting(
        "WECOM_WELCOME_NAME",
        "本店",
        "What a customer who adds a member is welcomed to, e.g. the company's name.",
        min_length=1,
        max_length=64,
    )
    wecom_new_customer_tag: str = _setting(
        "WECOM_NEW_CUSTOMER_TAG",
        "新客户",
        "Company tag of customers who add a member; made where there is none. Empty: none.",
        max_length=30,
    )
    wecom_app_messages: bool = _setting(
        "WECOM_APP_MESSAGES",
        False,
        "Whether members who write to the application WECOM_AGENT_ID are answered.",
    )
    wecom_callback_ips: Annotated[
        tuple[Name, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_networks)
    ] = _setting(
        "WECOM_CALLBACK_IPS",
        (),
        "From where callbacks of WeCom are taken, with commas between them: addresses, ranges as "
        "101.226.103.0/24 or 1.2.3.*; default: from everywhere, the signature decides. "
        "kefu doctor --online shows WeCom's own list, which is not always whole.",
    )


class WechatSettings(BaseSettings):
    """WeChat official account"""

    wechat_token: SecretStr | None = _setting(
        "WECHAT_TOKEN",
        None,
        "Token of the callback, whose address is /api/wechat; with APPID, the account is served.",
    )
    appid: str = _setting("APPID", "", "Id of the official account.", max_length=64)
    appsecret: SecretStr | None = _setting(
        "APPSECRET",
        None,
        "Secret of the official account. Without it only the response to a message can carry an "
        "answer: one that takes longer than 15 s is given to the customer's next message.",
    )
    wechat_aes_key: SecretStr | None = _setting(
        "WECHAT_AES_KEY WECHAT_AES_KEY WECHAT_ENCODING_AES_KEY",
        None,
        "EncodingAESKey of the callback.",
    )
    wechat_mode: Annotated[
        Literal["auto", "plain", "compatible", "safe"], BeforeValidator(_lower)
    ] = _setting(
        "WECHAT_MODE",
        "auto",
        "Which callbacks are taken: plain, safe (encrypted) or compatible (either); auto is safe "
        "where WECHAT_AES_KEY is set, else plain.",
    )
    wechat_api_base: HttpUrl = _setting(
        "WECHAT_API_BASE", "https://api.weixin.qq.com", "The official account's API."
    )
    wechat_reply_s: float = _setting(
        "WECHAT_REPLY_S",
        4.5,
        "Seconds after a message within which its response may carry the answer; the platform "
        "hangs up after 5. Later answers are sent as customer-service messages.",
        gt=0,
        le=4.8,
    )
    wechat_quota: int = _setting(
        "WECHAT_QUOTA",
        5,
        "Customer-service messages that the platform allows within 48 hours after a message.",
        ge=1,
        le=1_000,
    )
    wechat_order_template: str = _setting(
        "WECHAT_ORDER_TEMPLATE",
        "",
        "Id of a template message that tells the customer of a delivered order; empty: none is "
        "sent.",
        max_length=128,
    )
    wechat_order_fields: Annotated[
        dict[str, str], NoDecode, BeforeValidator(_pairs), AfterValidator(_order_fields)
    ] = _setting(
        "WECHAT_ORDER_FIELDS",
        {},
        "Which fields of that template show order, service, status and time; default: "
        "order=keyword1,service=keyword2,status=keyword3,time=keyword4.",
    )


class AcceptedSettings(BaseSettings):
    """Accepted, without effect in this version"""

    redis_url: SecretStr | None = _setting(
        "REDIS_URL", None, "Not needed: rows of the database do what Redis did."
    )
    message_log_file: str = _setting(
        "MESSAGE_LOG_FILE",
        "wechat_messages.json",
        "Not written: messages are rows of the database.",
    )
    trae_secret_key: SecretStr | None = _setting(
        "TRAE_SECRET_KEY", None, "Not sent: the API takes the key alone."
    )


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """A provider to be used. Empty ``base_url`` or ``model``: the provider's default.

    The key of ``custom`` may be empty: local model servers ask for none.
    """

    name: str
    api_key: SecretStr
    base_url: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class WecomIdentity:
    corp_id: str
    agent_id: str
    token: str
    aes_key: str


SANDBOX_WECOM = WecomIdentity(
    "wwsandbox00000001",
    "1000002",
    "sandboxcallback",
    "sandboxsandboxsandboxsandboxsandboxsandboxt",
)
"""Who the simulated WeCom takes us for: nothing of it is a secret."""


@dataclass(frozen=True, slots=True)
class WechatIdentity:
    app_id: str
    token: str
    aes_key: str


SANDBOX_WECHAT = WechatIdentity(
    "wxsandbox00000001",
    "sandboxaccount",
    "accountaccountaccountaccountaccountaccountt",
)
"""The simulated official account: nothing of it is a secret."""


class Settings(
    ServerSettings,
    StorageSettings,
    TurnSettings,
    AnswerSettings,
    ModelSettings,
    ChannelSettings,
    NoticeSettings,
    DeskSettings,
    TaskSettings,
    PictureSettings,
    WecomSettings,
    WechatSettings,
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
        known = (name for part, name in _PROVIDER_HOSTS.items() if part in host)
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
        return tuple(_field_names(name)[0] for name in accepted if name in self.model_fields_set)

    def with_sandbox(self, url: str) -> "Settings":
        """The same settings with every peer simulated by the sandbox at ``url``.

        Keys of models are replaced, since the sandbox shows what it receives to everybody. The
        webhook's secret stays: a signature does not give it away. A provider without key stays
        without: the sandbox is a place, not a configuration.
        """
        base = _http_url(url)
        if not base:
            raise ConfigurationError("KEFU_SANDBOX_URL", "is empty", "an http:// URL")
        credential, llm = SecretStr(_SANDBOX_CREDENTIAL), self._llm_name()
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
            "images_model": self.images_model or _SANDBOX_MODEL,
            "image_search_url": "",
            "vision_url": f"{base}/model/vision/v1" if self.vision_url else "",
            "vision_api_key": credential if self.vision_api_key else None,
            "embedding_url": "",
            "rerank_url": f"{base}/rerank/v1" if self.rerank_url else "",
            "qingyunke_url": f"{base}/qingyunke/api.php" if self.qingyunke_url else "",
            "rerank_api_key": credential if self.rerank_api_key else None,
            "llm_api_key": credential if self.llm_api_key else None,
            "llm_api_base": _sandbox_model(base, llm) if llm else "",
            "llm_provider": llm,
        }
        for name in PROVIDERS:
            changed[f"{name}_base_url"] = _sandbox_model(base, name)
            if getattr(self, f"{name}_api_key") is not None:
                changed[f"{name}_api_key"] = credential
        return self.model_copy(update=changed)

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
                f"{base}/feishu/open-apis/bot/v2/hook/{_SANDBOX_CREDENTIAL}"
            ),
            "feishu_robot_secret": credential,
            "dingtalk_robot_url": SecretStr(
                f"{base}/dingtalk/robot/send?access_token={_SANDBOX_CREDENTIAL}"
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
    return SecretStr(f"{base}/wecom/webhook/send?key={_SANDBOX_CREDENTIAL}")


def _secret_parts(value: str) -> list[str]:
    try:
        password = urlsplit(value).password if "://" in value else None
    except ValueError:
        password = None
    return [value, *({password, unquote(password)} if password else ())]


def load_settings(
    *, env_files: tuple[Path, ...] | None = ENV_FILES, **overrides: object
) -> Settings:
    """Settings from the environment and ``env_files``; ``overrides`` are named like the fields.

    Raises ConfigurationError for the first setting that is unusable.
    """
    unknown = overrides.keys() - Settings.model_fields.keys()
    if unknown:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    try:
        settings = Settings(_env_file=env_files, **cast(dict[str, Any], overrides))
    except ValidationError as error:
        raise _configuration_error(error.errors(), overrides, env_files or ()) from None
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(str(path) for path in env_files or ())
        raise ConfigurationError(
            names, f"cannot be read ({type(error).__name__})", "readable UTF-8 text"
        ) from None
    return settings.with_sandbox(settings.sandbox_url) if settings.sandbox_url else settings


def _configuration_error(
    errors: list[ErrorDetails], overrides: Mapping[str, object], env_files: tuple[Path, ...]
) -> ConfigurationError:
    detail = errors[0]
    field = _field_of(str(detail["loc"][0]))
    variable = field if field in overrides else _variable_in_use(field, env_files)
    shown = "the value" if _is_secret(field) else _shortened(detail["input"])
    more = f" ({len(errors) - 1} more settings are wrong)" if len(errors) > 1 else ""
    return ConfigurationError(variable, f"{shown} cannot be used", _expected(detail) + more)


def _expected(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Input should be ").partition(", unable to")[0]
    return message.removeprefix("Input should ").removeprefix("Value error, ")


def _shortened(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _field_of(location: str) -> str:
    """pydantic reports a field by its first alias, or by its name if it was an override."""
    for field in Settings.model_fields:
        if location == field or location in _field_names(field):
            return field
    return location


def _variable_in_use(field: str, env_files: tuple[Path, ...]) -> str:
    names = _field_names(field)
    files = (dotenv_values(path) for path in reversed(env_files))
    sources: list[Mapping[str, str | None]] = [os.environ, *files]
    for source in sources:
        given = {name.upper() for name, value in source.items() if value}
        used = next((name for name in names if name in given), None)
        if used:
            return used
    return names[0]


def _field_names(field: str) -> tuple[str, ...]:
    alias = Settings.model_fields[field].validation_alias
    assert isinstance(alias, AliasChoices)
    return tuple(str(choice) for choice in alias.choices)


def _is_secret(field: str) -> bool:
    annotation = Settings.model_fields[field].annotation if field in Settings.model_fields else None
    return "SecretStr" in str(annotation)


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """``name`` is the variable that wins, ``aliases`` are read after it; ``default`` as text."""

    name: str
    aliases: tuple[str, ...]
    default: str
    meaning: str
    secret: bool


GROUPS: tuple[type[BaseSettings], ...] = (
    ServerSettings,
    StorageSettings,
    TurnSettings,
    AnswerSettings,
    ModelSettings,
    ChannelSettings,
    NoticeSettings,
    DeskSettings,
    TaskSettings,
    PictureSettings,
    WecomSettings,
    WechatSettings,
    AcceptedSettings,
)


def _group_docs(group: type[BaseSettings]) -> Iterator[SettingDoc]:
    fields: dict[str, FieldInfo] = group.model_fields
    for field, info in fields.items():
        names = _field_names(field)
        meaning = info.description or ""
        default = _default_text(info.default)
        yield SettingDoc(names[0], names[1:], default, meaning, _is_secret(field))


def _default_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value == {} else str(value)


def describe_settings() -> list[SettingDoc]:
    """Every setting, by group and in reading order."""
    return [doc for group in GROUPS for doc in _group_docs(group)]


def settings_markdown() -> str:
    """The settings as Markdown, one table for each group."""
    return "\n".join(_group_markdown(group) for group in GROUPS)


def _group_markdown(group: type[BaseSettings]) -> str:
    lines = [f"### {group.__doc__}", "", "| Variable | Also read | Default | Meaning |"]
    lines.append("|---|---|---|---|")
    for doc in _group_docs(group):
        others = ", ".join(f"`{name}`" for name in doc.aliases)
        default = f"`{doc.default}`" if doc.default else ""
        meaning = doc.meaning.replace("|", "\\|") + (" *Secret.*" if doc.secret else "")
        lines.append(f"| `{doc.name}` | {others} | {default} | {meaning} |")
    return "\n".join([*lines, ""])
