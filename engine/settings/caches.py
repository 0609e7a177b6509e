"""What is remembered, for how long, and where else than in this process."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from engine.settings.fields import PositiveSeconds, setting


class CacheSettings(BaseSettings):
    """Caches"""

    cache_mb: int = setting(
        "CACHE_MB",
        100,
        "Megabytes of this process for what is remembered; 0: nothing is.",
        ge=0,
        le=65_536,
    )
    cache_customer_s: PositiveSeconds = setting(
        "CACHE_CUSTOMER_S", 3_600, "Seconds for which a customer's facts are remembered."
    )
    cache_knowledge_s: PositiveSeconds = setting(
        "CACHE_KNOWLEDGE_S",
        86_400,
        "Seconds for which a search's result is remembered; a change of the knowledge ends it.",
    )
    cache_context_s: PositiveSeconds = setting(
        "CACHE_CONTEXT_S", 1_800, "Seconds for which a conversation's state is remembered."
    )
    redis_url: SecretStr | None = setting(
        "REDIS_URL",
        None,
        "redis://… as a second level that processes share; what is put there is encrypted. "
        "Without it, or while it is away, all is slower and nothing is wrong.",
    )
    redis_timeout_s: PositiveSeconds = setting(
        "REDIS_TIMEOUT_S", 0.1, "Seconds for one call of Redis; then we do without."
    )
