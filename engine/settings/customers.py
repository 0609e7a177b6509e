"""Customers: when one counts as gone, and how often that is looked at."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from engine.settings.fields import PositiveSeconds, setting


class CustomerSettings(BaseSettings):
    """Customers"""

    customer_churn_days: Annotated[float, Field(ge=1, le=3_650, allow_inf_nan=False)] = setting(
        "CUSTOMER_CHURN_DAYS",
        90,
        "Days of silence after which a customer counts as gone; whoever writes again is back.",
    )
    customer_sweep_s: PositiveSeconds = setting(
        "CUSTOMER_SWEEP_S",
        300,
        "Seconds between two looks for customers of whom age alone changes something; of each of "
        "them that is once a day at most.",
    )
