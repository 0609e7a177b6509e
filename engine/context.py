"""What of a conversation goes into prompts, as the settings say."""

from engine.settings import Settings
from graphs.focus import ContextPolicy


def context_policy(settings: Settings) -> ContextPolicy:
    return ContextPolicy(
        budget=settings.context_token_budget,
        talk=settings.context_talk_tokens,
        summary=settings.context_summary_tokens,
        verbatim=settings.context_talk_tokens // 2,
        shortens=settings.context_summary_model == "auto",
        shortens_s=settings.context_summary_deadline_s,
    )
