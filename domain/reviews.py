"""What may be wrong with an answer, in the words of who judges it."""

from enum import StrEnum


class Fault(StrEnum):
    """Codes; the console and docs/reviews.md have the words."""

    WRONG = "wrong"
    """What it says is not so."""
    MISSING = "missing"
    """It should have answered."""
    HANDOVER = "handover"
    """A person should have answered."""
    PRICE = "price"
    INTENT = "intent"
    """It was taken for something else."""
    TONE = "tone"
    OTHER = "other"
