"""How customers are addressed, by their level."""

from domain.tiers import is_vip
from graphs.context import TurnContext
from graphs.templates import NAMES


def worded(template: str, context: TurnContext) -> str:
    """The wording for this customer's level, where there is one of its own."""
    special = f"{template}_vip"
    return special if is_vip(context.customer.level) and special in NAMES else template


def addressed(template: str, context: TurnContext) -> dict[str, str]:
    """The customer's name, for a wording that has a place for it."""
    return {"name": context.customer.name} if "name" in NAMES[template].known else {}
