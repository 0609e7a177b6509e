"""What is told of how the service does: figures and alerts."""

from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from engine.settings.fields import PositiveSeconds, Seconds, pairs, setting

Threshold = Annotated[float, Field(ge=-1, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class FigureSettings(BaseSettings):
    """Figures and alerts"""

    currency_rates: Annotated[dict[str, Rate], NoDecode, BeforeValidator(pairs)] = setting(
        "CURRENCY_RATES",
        {"USD": 7.1},
        "Yuan for one unit of a currency in which models are paid, for the estimated cost; "
        "e.g. USD=7.1,EUR=8.2.",
    )
    alerts: bool = setting(
        "ALERTS", True, "Whether the service judges its figures and tells staff."
    )
    alert_check_s: PositiveSeconds = setting(
        "ALERT_CHECK_S", 15, "Seconds between two looks at the figures."
    )
    alert_for_s: Seconds = setting(
        "ALERT_FOR_S", 60, "Seconds for which a measure must be over its threshold before it fires."
    )
    alert_calm_s: Seconds = setting(
        "ALERT_CALM_S",
        120,
        "Seconds for which it must be a tenth below it (a count: back) before it is over.",
    )
    alert_cpu_percent: Threshold = setting(
        "ALERT_CPU_PERCENT", 80, "Processor use of a machine above which staff are told; -1: never."
    )
    alert_memory_percent: Threshold = setting("ALERT_MEMORY_PERCENT", 85, "The same of its memory.")
    alert_disk_percent: Threshold = setting(
        "ALERT_DISK_PERCENT", 90, "The same of the disk that the data folder is on."
    )
    alert_response_ms: Threshold = setting(
        "ALERT_RESPONSE_MS",
        5_000,
        "Milliseconds that customers wait for an answer, on the average of ten minutes.",
    )
    alert_tokens_day: Threshold = setting(
        "ALERT_TOKENS_DAY", 1_000_000, "Tokens of models within 24 hours."
    )
    alert_late_percent: Threshold = setting(
        "ALERT_LATE_PERCENT",
        10,
        "Percent of answers of ten minutes (five at least) that took more than five seconds.",
    )
    alert_queue_age_s: Threshold = setting(
        "ALERT_QUEUE_AGE_S", 60, "Seconds for which a message has waited for its turn."
    )
    alert_outbox_age_s: Threshold = setting(
        "ALERT_OUTBOX_AGE_S", 300, "Seconds for which something has waited to be delivered."
    )
    alert_dead_letters: Threshold = setting(
        "ALERT_DEAD_LETTERS", 0, "Messages and deliveries that were given up and nobody looked at."
    )
    alert_providers_open: Threshold = setting(
        "ALERT_PROVIDERS_OPEN", 0, "Model providers that are not asked because they keep failing."
    )
    alert_quota_percent: Threshold = setting(
        "ALERT_QUOTA_PERCENT", 90, "Percent used of a model provider's daily tokens."
    )
    alert_clients_offline: Threshold = setting(
        "ALERT_CLIENTS_OFFLINE", 0, "Clients whose heartbeat is missing."
    )
    alert_processes_lost: Threshold = setting(
        "ALERT_PROCESSES_LOST", 0, "Processes of the deployment that ended without a word."
    )
