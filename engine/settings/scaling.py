"""Several processes on one PostgreSQL."""

from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings

from engine.settings.fields import Seconds, setting


class ScalingSettings(BaseSettings):
    """Several processes"""

    role: Literal["all", "api"] = Field(
        "all",
        validation_alias=AliasChoices("KEFU_ROLE"),
        description="What kefu serve does: all; or api: it takes messages, and kefu worker "
        "processes run their turns, deliveries and timers (PostgreSQL only).",
    )
    drain_s: Seconds = setting(
        "DRAIN_S",
        0,
        "Seconds from SIGTERM, when /health begins to say 503, until no more connection is taken: "
        "as long as a balancer needs to notice.",
    )
    worker_port: int | None = setting(
        "WORKER_PORT",
        None,
        "Port on which kefu worker shows /livez, /health and /metrics; not set: none.",
        ge=1,
        le=65_535,
    )
