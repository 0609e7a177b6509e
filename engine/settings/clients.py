"""Clients that sign in with a key of their own."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from engine.settings.fields import PositiveSeconds, setting

Hours = Annotated[float, Field(ge=0, le=8_784, allow_inf_nan=False)]


class ClientSettings(BaseSettings):
    """Clients"""

    client_token_hours: Annotated[Hours, Field(gt=0)] = setting(
        "CLIENT_TOKEN_HOURS", 24, "Hours for which a client is signed in."
    )
    client_heartbeat_s: PositiveSeconds = setting(
        "CLIENT_HEARTBEAT_S", 30, "Seconds between two heartbeats of a client."
    )
    client_missed_heartbeats: int = setting(
        "CLIENT_MISSED_HEARTBEATS",
        3,
        "Heartbeats in a row that a client misses before staff is notified that it is offline.",
        ge=1,
        le=1_000,
    )
    client_key_overlap_hours: Hours = setting(
        "CLIENT_KEY_OVERLAP_HOURS",
        24,
        "Hours for which a client's old keys go on beside a new one.",
    )
