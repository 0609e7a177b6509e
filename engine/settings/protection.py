"""What is kept of customers, how, and for how long."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from engine.settings.fields import Days, setting


def _days(name: str, default: float, what: str) -> Days:
    days: Days = setting(f"RETENTION_{name}_DAYS", default, f"{what}; 0 keeps them for ever.")
    return days


class ProtectionSettings(BaseSettings):
    """Protection of data"""

    field_keys: SecretStr | None = setting(
        "FIELD_KEYS",
        None,
        "Keys that names, telephone numbers and addresses are sealed with, as id:base64 of 32 "
        "bytes, the newest first (kefu keys new makes one); off: they are stored as they are. "
        "Default: a key that is made once in the data folder; with PostgreSQL: off.",
    )
    retention_messages_days: Days = _days(
        "MESSAGES", 1_095, "Days after which messages and the dialogues of sessions are deleted"
    )
    retention_turns_days: Days = _days(
        "TURNS", 365, "Days after which the results of turns are deleted"
    )
    retention_questions_days: Days = _days(
        "QUESTIONS", 365, "Days after which questions that nobody could answer are deleted"
    )
    retention_calls_days: Days = _days(
        "CALLS", 400, "Days after which records of model calls are deleted"
    )
    retention_outbox_days: Days = _days(
        "OUTBOX", 90, "Days after which deliveries that are over are deleted"
    )
    retention_tasks_days: Days = _days("TASKS", 365, "Days after which finished tasks are deleted")
    retention_audit_days: Days = _days(
        "AUDIT", 1_095, "Days after which entries of the audit log are deleted"
    )
