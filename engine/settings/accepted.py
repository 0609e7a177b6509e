"""What seeds name and this version does without."""

from pydantic import (
    SecretStr,
)
from pydantic_settings import BaseSettings

from engine.settings.fields import setting


class AcceptedSettings(BaseSettings):
    """Accepted, without effect in this version"""

    message_log_file: str = setting(
        "MESSAGE_LOG_FILE",
        "wechat_messages.json",
        "Not written: messages are rows of the database.",
    )
    trae_secret_key: SecretStr | None = setting(
        "TRAE_SECRET_KEY", None, "Not sent: the API takes the key alone."
    )
