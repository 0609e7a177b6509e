"""How a customer feels, and what follows from it. The rules' file is named with the answers."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings

from engine.settings.fields import PositiveSeconds, lower, setting


class SentimentSettings(BaseSettings):
    """Sentiment"""

    sentiment_model: Annotated[Literal["off", "auto"], BeforeValidator(lower)] = setting(
        "SENTIMENT_MODEL",
        "off",
        "auto: a model is asked where the word lists are in doubt; off: never.",
    )
    sentiment_deadline_s: Annotated[PositiveSeconds, Field(le=30)] = setting(
        "SENTIMENT_DEADLINE_S", 2, "Seconds for that model; then the word lists decide."
    )
    sentiment_turns: int = setting(
        "SENTIMENT_TURNS",
        2,
        "Negative messages in a row after which KEFU_SENTIMENT_DOES is done.",
        ge=1,
        le=20,
    )
    sentiment_does: Annotated[Literal["off", "offer", "handoff"], BeforeValidator(lower)] = setting(
        "SENTIMENT_DOES",
        "offer",
        "offer: a person is offered behind the answer; handoff: a person takes over; off: nothing.",
    )
