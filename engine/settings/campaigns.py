"""Proactive messages."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from domain.desk_hours import Hours, parse_hours
from engine.settings.fields import Days, hours_text, setting


class CampaignSettings(BaseSettings):
    """Proactive messages"""

    campaign_quiet_hours: Annotated[str, AfterValidator(hours_text)] = setting(
        "CAMPAIGN_QUIET_HOURS",
        "1-7 21:00-09:00",
        "When no campaign writes to anybody, in KEFU_TIMEZONE; empty: never quiet.",
    )
    campaign_gap_days: Days = setting(
        "CAMPAIGN_GAP_DAYS", 7.0, "Days between two proactive messages to one customer."
    )
    campaign_talking_s: Annotated[float, Field(ge=0, le=604_800, allow_inf_nan=False)] = setting(
        "CAMPAIGN_TALKING_S",
        1_800.0,
        "Whoever wrote or was answered within so many seconds is left alone.",
    )
    campaign_per_minute: int = setting(
        "CAMPAIGN_PER_MINUTE",
        60,
        "The most messages a minute that one campaign may send.",
        ge=1,
        le=6_000,
    )
    campaign_spare: int = setting(
        "CAMPAIGN_SPARE",
        3,
        "Messages of a platform's quota for one customer that are left for answers.",
        ge=0,
        le=100,
    )

    @property
    def campaign_quiet(self) -> Hours | None:
        if not self.campaign_quiet_hours:
            return None
        return Hours(week=parse_hours(self.campaign_quiet_hours))
