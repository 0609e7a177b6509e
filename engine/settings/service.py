"""The service itself: where it listens and stores, its turns and its answers."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
)
from pydantic_settings import BaseSettings, NoDecode

from engine.settings.fields import (
    Days,
    ExistingFile,
    HttpUrl,
    PositiveSeconds,
    Seconds,
    Share,
    database_address,
    pairs,
    setting,
    upper,
    zone_name,
)


class ServerSettings(BaseSettings):
    """Service"""

    host: str = setting(
        "HOST AI_CS_HOST HOST",
        "127.0.0.1",
        "Address to listen on. Anything but loopback needs KEFU_API_KEY.",
        min_length=1,
    )
    port: int = setting(
        "PORT AI_CS_PORT PORT", 6060, "Port to listen on; 0 takes a free one.", ge=0, le=65_535
    )
    public_url: HttpUrl = setting(
        "PUBLIC_URL AI_CS_API_URL",
        "",
        "Where others reach this service; default: built from host and port.",
    )
    data_dir: Path = setting("DATA_DIR", Path("data"), "Folder of database, index and checkpoints.")
    api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("KEFU_API_KEY"),
        description="Key that callers send as X-API-Key. Not set: no key is asked on loopback.",
    )
    secret_key: SecretStr | None = setting(
        "SECRET_KEY",
        None,
        "Signs the tokens of kefu token, at least 32 bytes. Does not replace KEFU_API_KEY.",
    )
    max_body_bytes: int = setting(
        "MAX_BODY_BYTES", 1_048_576, "Largest request body, in bytes.", ge=1_024, le=104_857_600
    )
    timezone: Annotated[str, AfterValidator(zone_name)] = setting(
        "TIMEZONE", "Asia/Shanghai", "Time zone of times that are written without one."
    )
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(upper)] = (
        setting("LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR.")
    )
    log_json: bool = setting(
        "LOG_JSON", False, "One JSON object per log line instead of key=value."
    )
    debug: bool = setting("DEBUG", False, "true is the same as KEFU_LOG_LEVEL=DEBUG.")
    sandbox_url: HttpUrl = setting(
        "SANDBOX_URL", "", "Set: every peer is the simulated one at this address."
    )


class StorageSettings(BaseSettings):
    """Storage"""

    database_url: Annotated[SecretStr | None, AfterValidator(database_address)] = setting(
        "DATABASE_URL DATABASE_URL KB_DB_URL",
        None,
        "sqlite:///path or postgresql://…; default: kefu.db in the data folder. "
        "Knowledge is in the same database, so KB_DB_URL names it too.",
    )
    sqlite_synchronous: Annotated[Literal["FULL", "NORMAL"], BeforeValidator(upper)] = setting(
        "SQLITE_SYNCHRONOUS",
        "FULL",
        "FULL survives a power cut; NORMAL is faster and may lose the last commits.",
    )


class TurnSettings(BaseSettings):
    """Turns and delivery"""

    sync_deadline_s: PositiveSeconds = setting(
        "SYNC_DEADLINE_S",
        20,
        "Seconds that a caller waits for the answer before it goes out otherwise.",
    )
    turn_timeout_s: PositiveSeconds = setting(
        "TURN_TIMEOUT_S", 60, "Seconds after which a run of the graph is given up and tried again."
    )
    turn_max_attempts: int = setting(
        "TURN_MAX_ATTEMPTS", 3, "Runs of one turn before the default sentence is sent.", ge=1, le=20
    )
    debounce_async_s: Seconds = setting(
        "DEBOUNCE_ASYNC_S",
        0.8,
        "Quiet seconds to wait for more messages where nobody waits for the response.",
    )
    debounce_sync_s: Seconds = setting(
        "DEBOUNCE_SYNC_S", 0, "The same where a caller waits for the response."
    )
    debounce_max_s: Seconds = setting(
        "DEBOUNCE_MAX_S", 3, "Longest wait in seconds since the first unread message."
    )
    debounce_channels: Annotated[dict[str, Seconds], NoDecode, BeforeValidator(pairs)] = setting(
        "DEBOUNCE_CHANNELS", {}, "Quiet seconds of single channels, e.g. webhook=1.2,web=0."
    )
    merge_limit: int = setting(
        "MERGE_LIMIT", 10, "Most messages that one turn answers together.", ge=1, le=100
    )
    checkpoints_per_thread: int = setting(
        "CHECKPOINTS_PER_THREAD", 2, "Checkpoints kept for each conversation.", ge=1, le=1_000
    )
    lease_s: PositiveSeconds = setting(
        "LEASE_S", 30, "Seconds for which a process owns a conversation before others may take it."
    )
    sweep_s: PositiveSeconds = setting(
        "SWEEP_S", 2, "Seconds between two searches for work that nobody was woken for."
    )
    outbox_max_attempts: int = setting(
        "OUTBOX_MAX_ATTEMPTS",
        12,
        "Deliveries tried before a message becomes a dead letter.",
        ge=1,
        le=100,
    )
    outbox_backoff_base_s: PositiveSeconds = setting(
        "OUTBOX_BACKOFF_BASE_S",
        1,
        "Wait in seconds after the first failed delivery; doubles each time.",
    )
    outbox_backoff_max_s: PositiveSeconds = setting(
        "OUTBOX_BACKOFF_MAX_S", 300, "Longest wait in seconds between two deliveries."
    )


class AnswerSettings(BaseSettings):
    """Answers and knowledge"""

    answer_threshold: Share = setting(
        "ANSWER_THRESHOLD ANSWER_THRESHOLD KB_SIMILARITY_THRESHOLD CONFIDENCE_THRESHOLD",
        0.75,
        "Confidence from which the knowledge base answers. "
        "KB_SIMILARITY_THRESHOLD and CONFIDENCE_THRESHOLD mean the same and "
        "move this threshold only.",
    )
    clarify_threshold: Share = setting(
        "CLARIFY_THRESHOLD",
        0.55,
        "Confidence from which we ask back; below it a person takes over. "
        "Not set: 0.55, or the answering threshold where that is lower.",
    )
    approval_hours: Annotated[float, Field(gt=0, le=720, allow_inf_nan=False)] = setting(
        "APPROVAL_HOURS",
        4,
        "Hours for which a quote waits for a person's approval; then a person takes over.",
    )
    kb_top_k: int = setting(
        "KB_TOP_K", 3, "Knowledge entries that a question is answered from.", ge=1, le=50
    )
    retrieval_cache_size: int = setting(
        "RETRIEVAL_CACHE_SIZE",
        8_192,
        "Most searches that are remembered, within KEFU_CACHE_MB; 0: none.",
        ge=0,
        le=1_000_000,
    )
    price_book_file: ExistingFile = setting(
        "PRICE_BOOK_FILE",
        None,
        "Price book (YAML), taken within seconds when it changes; default: the one that comes with "
        "the product.",
    )
    rules_file: ExistingFile = setting(
        "RULES_FILE",
        None,
        "Rules (YAML), a new version within seconds when it changes; default: the ones that come "
        "with the product.",
    )
    templates_file: ExistingFile = setting(
        "TEMPLATES_FILE",
        None,
        "Sentences for customers (YAML); what it leaves out keeps its default.",
    )
    chroma_url: HttpUrl = setting(
        "CHROMA_URL", "", "Chroma server; default: an index inside the data folder."
    )
    embedding_url: HttpUrl = setting(
        "EMBEDDING_URL", "", "OpenAI-compatible embeddings API; default: none."
    )
    embedding_model: str = setting("EMBEDDING_MODEL", "", "Model name for KEFU_EMBEDDING_URL.")
    embedding_dimensions: int = setting(
        "EMBEDDING_DIMENSIONS", 1_024, "Length of that model's vectors.", ge=8, le=16_384
    )
    embedding_api_key: SecretStr | None = setting(
        "EMBEDDING_API_KEY EMBEDDING_API_KEY EMBEDDING_KEY", None, "Key for KEFU_EMBEDDING_URL."
    )
    embedding_batch: int = setting(
        "EMBEDDING_BATCH",
        0,
        "Texts in one call of KEFU_EMBEDDING_URL; 0: what its provider is known to take.",
        ge=0,
        le=2_048,
    )
    rerank_url: HttpUrl = setting(
        "RERANK_URL",
        "",
        "Re-ranking API (POST /rerank) asked about middling confidences; default: none.",
    )
    rerank_model: str = setting("RERANK_MODEL", "", "Model name for KEFU_RERANK_URL.")
    rerank_api_key: SecretStr | None = setting("RERANK_API_KEY", None, "Key for KEFU_RERANK_URL.")
    rerank_timeout_s: PositiveSeconds = setting(
        "RERANK_TIMEOUT_S",
        1.5,
        "Seconds for one call of KEFU_RERANK_URL; then the order without it stays.",
    )
    index_poll_s: PositiveSeconds = setting(
        "INDEX_POLL_S",
        2,
        "Seconds between two looks for changed knowledge; changes by other processes are found so.",
    )
    learn_auto_threshold: Share = setting(
        "LEARN_AUTO_THRESHOLD",
        0.80,
        "Confidence from which a suggested answer becomes knowledge by itself.",
    )
    learn_review_threshold: Share = setting(
        "LEARN_REVIEW_THRESHOLD",
        0.70,
        "Confidence from which a suggested answer waits for review; below it is dropped. "
        "Not set: 0.70, or the threshold above where that is lower.",
    )
    learn_sweep_s: PositiveSeconds = setting(
        "LEARN_SWEEP_S",
        30,
        "Seconds between two sweeps that gather unknown questions; new ones are gathered at once.",
    )
    unknown_max_open: int = setting(
        "UNKNOWN_MAX_OPEN", 2_000, "Most clusters of unknown questions kept open.", ge=1, le=100_000
    )
    unknown_retention_days: Annotated[float, Field(gt=0, le=3_650, allow_inf_nan=False)] = setting(
        "UNKNOWN_RETENTION_DAYS", 90, "Days after which a cluster that nobody asks for is closed."
    )
    review_turn_days: Days = setting(
        "REVIEW_TURN_DAYS",
        7,
        "Days for which a turn's steps and prompts are kept, so that it can be opened and re-run; "
        "0 keeps none.",
    )
    regressions_dir: Path | None = setting(
        "REGRESSIONS_DIR",
        None,
        "Folder of the conversations that were saved as tests; default: regressions in the data "
        "folder.",
    )
