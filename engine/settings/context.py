"""What of a conversation goes into prompts."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings

from engine.settings.fields import PositiveSeconds, lower, setting


class ContextSettings(BaseSettings):
    """Context of the conversation"""

    context_token_budget: int = setting(
        "CONTEXT_TOKEN_BUDGET",
        2_400,
        "Most tokens of one prompt; what goes first where there is more: summary, last questions, "
        "weaker evidence, known facts, the end of the best evidence.",
        ge=800,
        le=200_000,
    )
    context_talk_tokens: int = setting(
        "CONTEXT_TALK_TOKENS",
        78,
        "Of them for the conversation: what was named in it, and its last questions.",
        ge=0,
        le=20_000,
    )
    context_summary_tokens: int = setting(
        "CONTEXT_SUMMARY_TOKENS",
        80,
        "And for its summary, where the customer comes back or speaks of earlier.",
        ge=0,
        le=5_000,
    )
    context_summary_model: Annotated[Literal["off", "auto"], BeforeValidator(lower)] = setting(
        "CONTEXT_SUMMARY_MODEL",
        "off",
        "auto: a model shortens the summary of the last session where it is too long for "
        "KEFU_CONTEXT_SUMMARY_TOKENS; off: its newest lines are told.",
    )
    context_summary_deadline_s: Annotated[PositiveSeconds, Field(le=30)] = setting(
        "CONTEXT_SUMMARY_DEADLINE_S", 3, "Seconds for that model; then the newest lines are told."
    )
